# Tenure itself: one binary, no shell needed, not root. The lab around it has its own image (lab/Dockerfile).
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tenure && install -D target/release/tenure /out/tenure

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl tzdata && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home tenure \
    && install -d -m 755 -o tenure /srv/evidence && install -d -m 700 -o tenure /var/lib/tenure-signer /run/tenure
COPY --from=build /out/tenure /usr/local/bin/tenure
USER tenure
ENTRYPOINT ["tenure"]
CMD ["--help"]
