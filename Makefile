# SAM runs these targets if template.yaml sets `BuildMethod: makefile`, to build without cargo-lambda.
.PHONY: build-InboundFunction build-WorkerFunction
build-InboundFunction build-WorkerFunction:
	cargo build --release --locked --bin bootstrap
	install -D $${CARGO_TARGET_DIR:-target}/release/bootstrap $(ARTIFACTS_DIR)/bootstrap
