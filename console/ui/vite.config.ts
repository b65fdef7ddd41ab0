import { createReadStream, createWriteStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

/** Packs every file beside itself: the binary carries only the packed ones. */
function pack(): Plugin {
  let folder = ''
  return {
    name: 'pack',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir
    },
    async closeBundle() {
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || entry.name.endsWith('.gz')) continue
        const path = join(entry.parentPath, entry.name)
        await pipeline(createReadStream(path), createGzip({ level: 9 }), createWriteStream(`${path}.gz`))
      }
    },
  }
}

const server = process.env.OMS_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [pack()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // Every file is one that the policy of the page lets in: nothing is put into the page itself.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: {
      '/graphql': { target: server, ws: true },
      '/console': server,
      '/documents': server,
      '/exports/': server,
      '/readyz': server,
    },
  },
})
