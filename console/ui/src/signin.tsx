/** Signing in: an API key, kept for as long as the tab is open. */

import { useState } from 'preact/hooks'
import { signIn } from './session'

export function SignIn({ reason }: { reason: string | null }) {
  const [key, setKey] = useState('')
  return (
    <main class="signin">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (key.trim()) signIn(key.trim())
        }}
      >
        <h1>OMS</h1>
        <label>
          API key
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={key}
            onInput={(event) => setKey(event.currentTarget.value)}
          />
        </label>
        {reason && <p role="alert">{reason}</p>}
        <button type="submit" class="primary" disabled={!key.trim()}>
          Sign in
        </button>
        <p class="muted">
          <code>oms key --name NAME</code> makes one. It is kept in this tab only, and forgotten when
          the tab is closed.
        </p>
      </form>
    </main>
  )
}
