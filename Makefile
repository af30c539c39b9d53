# SAM runs the first targets if template.yaml sets `BuildMethod: makefile`, to build without cargo-lambda.
.PHONY: build-InboundFunction build-WorkerFunction dist image stack-test
build-InboundFunction build-WorkerFunction:
	cargo build --release --locked --bin bootstrap
	install -D $${CARGO_TARGET_DIR:-target}/release/bootstrap $(ARTIFACTS_DIR)/bootstrap

# The packages of a release, for both architectures, in dist/. `make dist ARCH=x86_64` makes those of one.
dist:
	python3 packaging/dist.py $(addprefix --arch ,$(ARCH))

# The image with the binaries in dist/. `docker build --tag masshook .` compiles it from the sources instead.
image:
	DOCKER_BUILDKIT=1 docker build --tag masshook --build-arg BINARIES=prebuilt .

# Deploys the packaged template to emulators of AWS, and sends 50 events through it.
stack-test:
	packaging/stack/run
