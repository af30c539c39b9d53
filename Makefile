# SAM calls this under `BuildMethod: makefile`, the way to build without cargo-lambda; see template.yaml.
.PHONY: build-InboundFunction build-WorkerFunction
build-InboundFunction build-WorkerFunction:
	cargo build --release --locked --bin bootstrap
	install -D $${CARGO_TARGET_DIR:-target}/release/bootstrap $(ARTIFACTS_DIR)/bootstrap
