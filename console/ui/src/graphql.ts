/** Documents, typed by the schema. They are sent as they are written: nothing here reads them. */

import type { initGraphQLTada } from 'gql.tada'
import type { introspection } from './graphql-env'

type Typed = ReturnType<
  typeof initGraphQLTada<{
    introspection: introspection
    disableMasking: true
    scalars: {
      DateTime: string
      NaiveDate: string
      Decimal: string
      CurrencyCode: string
      JSON: unknown
      ID: string
    }
  }>
>

interface Written {
  text: string
}

/** The text that is sent for a document: its own, and the fragments that it names. */
export const textOf = (document: object): string => (document as Written).text

export const graphql = ((text: string, fragments: readonly Written[] = []): Written => ({
  text: [text, ...fragments.map((fragment) => fragment.text)].join('\n'),
})) as unknown as Typed

export type { ResultOf, TadaDocumentNode, VariablesOf } from 'gql.tada'
