# The server, the command line and the simulator as an image without anything else: no shell, no package manager.
#
#   docker build --tag masshook .
#   docker run --rm masshook demo
#
# packaging/container/compose.yaml runs the server.

# The official image of Rust, or any image of Debian with rustup.
ARG RUST_IMAGE=rust:1.95-bookworm
# `source` compiles; `prebuilt` takes the binaries that `make dist` has built.
ARG BINARIES=source

FROM ${RUST_IMAGE} AS source
RUN apt-get update \
    && apt-get install --yes --no-install-recommends musl-tools ca-certificates \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /source
COPY . .
ARG CARGO_PROFILE_RELEASE_LTO=fat
ARG CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
RUN cargo build --release --locked --bin masshook --target "$(uname -m)-unknown-linux-musl" \
    && mkdir -p /out/data \
    && cp "target/$(uname -m)-unknown-linux-musl/release/masshook" /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch AS prebuilt
ARG TARGETARCH
COPY dist/image/${TARGETARCH}/ /out/

FROM ${BINARIES} AS binaries

FROM scratch
LABEL org.opencontainers.image.title="masshook" \
      org.opencontainers.image.description="Turns any webhook into a Zoho CRM mass update" \
      org.opencontainers.image.source="https://github.com/masshook/masshook" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /out/masshook /usr/bin/masshook
COPY --from=binaries /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A volume that is mounted here belongs to the user of the program.
COPY --from=binaries --chown=65532:65532 /out/data/ /var/lib/masshook/
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /var/lib/masshook
VOLUME /var/lib/masshook
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/usr/bin/masshook", "health"]
ENTRYPOINT ["/usr/bin/masshook"]
CMD ["serve", "--config", "/etc/masshook/masshook.yaml", "--data", "/var/lib/masshook", "--listen", "0.0.0.0:8080"]
