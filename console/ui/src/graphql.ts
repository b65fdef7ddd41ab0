/** Documents, typed by the schema. */

import { initGraphQLTada } from 'gql.tada'
import type { introspection } from './graphql-env'

export const graphql = initGraphQLTada<{
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
}>()

export type { ResultOf, TadaDocumentNode, VariablesOf } from 'gql.tada'
