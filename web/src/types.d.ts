declare module 'htmx-ext-sse'
declare module '*.css'
