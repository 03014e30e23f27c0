/** Modules that build.js makes up. */

declare module 'milonga:files' {
  /** File name of each part, by its name. */
  export const files: Record<string, string>
}

declare module 'milonga:shared' {
  /** Modules of analytics.js that its parts have in common with it, by number. */
  export const shared: unknown
}

declare module 'milonga:version' {
  export const version: string
}
