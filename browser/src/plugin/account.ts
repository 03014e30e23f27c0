/** The account of the last group() call, on every later call: `context.groupId`. */

type Json = Record<string, unknown>

/** Whether a key of `context` means the group id: case and all but letters and digits aside, as Segment's code does. */
export const isGroupId = (key: string) => key.replace(/[^a-z0-9]/gi, '').toLowerCase() === 'groupid'

/** What the caller said himself, in whatever spelling; undefined if nothing. An explicit null is his word, too. */
export function saidAccount(context: object = {}): unknown {
  return Object.keys(context)
    .filter(isGroupId)
    .map((key) => (context as Json)[key])
    .find((id) => id !== undefined)
}
