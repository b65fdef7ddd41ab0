# One binary on a small Debian. `docker compose up` builds it; see compose.yaml.
FROM node:22-bookworm-slim AS node

FROM rust:1.95-bookworm AS build
# What the console is built with; Debian 12's own is too old.
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /oms
COPY . .
RUN cargo build --locked --profile dist --bin oms

FROM debian:bookworm-slim
# For calls to the outside over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --home-dir /nonexistent oms
COPY --from=build /oms/target/dist/oms /usr/local/bin/oms
USER oms
EXPOSE 8080
ENTRYPOINT ["oms"]
CMD ["serve"]
