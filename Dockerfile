# One binary on a small Debian. `docker compose up` builds it; see compose.yaml.
FROM rust:1.95-bookworm AS build
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
