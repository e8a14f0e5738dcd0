/**
 * Mounts without being root: fusermount3 opens the device, mounts it, and sends the descriptor back over a socket. Node
 * has no call that receives one, so a few lines of Perl, which every Debian has, receive it and then become Node.
 */
import { fstatSync } from "node:fs"
import type { MountOptions } from "../../runtime/ports/mount.ts"
import { canonical } from "./place.ts"

/** Where the process that Perl becomes finds the device, and in which variable the directory that it is mounted on. */
const openFd = 4
const variable = "ARTIFACTS_FUSE_OPEN"

/** recvmsg(2) has no function in Perl, and a number of its own on each processor. */
const receiver = `
use strict; use warnings; use Socket; use POSIX ();
my ($place, $options, @command) = @ARGV;
my %numbers = (x86_64 => 47, aarch64 => 212);
my $recvmsg = $numbers{(POSIX::uname())[4]} or die "mounting without being root is not known for this processor\\n";
$^F = 255;
socketpair(my $mine, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die "socketpair: $!\\n";
my $child = fork() // die "fork: $!\\n";
if ($child == 0) {
  close $mine;
  $ENV{_FUSE_COMMFD} = fileno $theirs;
  exec "fusermount3", "-o", $options, "--", $place or do {
    print STDERR "mounting without being root needs fusermount3 (package fuse3): $!\\n";
    POSIX::_exit(127);
  };
}
close $theirs;
my $byte = "\\0"; my $control = "\\0" x 24;
my $vector = pack "PQ", $byte, 1;
my $message = pack "QLx4PQPQix4", 0, 0, $vector, 1, $control, 24, 0;
my $got = syscall($recvmsg, fileno $mine, $message, 0);
waitpid $child, 0;
exit(($? >> 8) || 1) if $? != 0 || $got < 1;
my (undef, $level, $type, $fd) = unpack "Qiii", $control;
die "fusermount3 sent no descriptor\\n" if $type != 1;
close $mine;
POSIX::dup2($fd, ${openFd}) // die "dup2: $!\\n";
POSIX::close($fd) if $fd != ${openFd};
$ENV{${variable}} = $place;
exec @command or die "$command[0]: $!\\n";
`

const optionsOf = (options: MountOptions): string =>
  [
    `fsname=${options.source.replaceAll(/[\\,]/g, "\\$&")}`,
    "subtype=artifacts",
    "default_permissions",
    options.readOnly ? "ro" : "rw",
    ...(options.allowOther ? ["allow_other"] : [])
  ].join(",")

export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/**
 * What to run instead of `command` so that it finds the place mounted. It ends early, and says why, where it cannot be;
 * that others may use the mount has to be allowed by user_allow_other in /etc/fuse.conf.
 */
export const asUser = (place: string, options: MountOptions, { args, command }: Command): Command => ({
  command: "perl",
  args: ["-e", receiver, canonical(place), optionsOf(options), command, ...args]
})

/** The device that this process was started with for the place, mounted already. */
export const openedAsUser = (place: string): number | undefined => {
  if (process.env[variable] !== canonical(place)) return undefined
  // Children are not to take it for theirs.
  delete process.env[variable]
  return fstatSync(openFd).isCharacterDevice() ? openFd : undefined
}
