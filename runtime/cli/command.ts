/** What a person has to type to run this program again: hints are there to be copied. */
export const command = process.env["ARTIFACTS_COMMAND"] ?? "artifacts"
