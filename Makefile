# SPDX-License-Identifier: MIT
# The jobs of a person; meson and ninja do the building. `make help` prints the comments below.

# Debian's own Python: it is the one that has Debian's pytest.
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local

# Images: which target of the Dockerfile, and how the result is called. A release passes VERSION=v1.2.3.
TARGET   ?= core
IMAGE    ?= agent-runner$(if $(filter-out core,$(TARGET)),-$(TARGET))
VERSION  ?= dev-local
REGISTRY ?=
# docker if its daemon answers, else podman.
RUNTIME  ?= $(shell docker info >/dev/null 2>&1 && echo docker || echo podman)
PLATFORMS ?= linux/amd64,linux/arm64
# More options for the build: certificates and the network of a proxy, --no-cache, …
BUILD_OPTIONS ?=
# What `make run-local` mounts, and the container's name; further options of docker run.
WORKSPACE   ?= $(CURDIR)/session
CONTAINER   ?= agent-runner
RUN_OPTIONS ?=
# From the environment, if it is set there.
PASSED := AGENT_PROVIDER AGENT_LOG_LEVEL ANTHROPIC_API_KEY ANTHROPIC_BASE_URL CLAUDE_CODE_OAUTH_TOKEN TZ

local  = $(IMAGE):$(VERSION)
remote = $(REGISTRY)/$(local)
# Files and layers get the time of the last commit, so that the same sources give the same image.
epoch  = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
is_podman  = $(findstring podman,$(RUNTIME))
build_options = --target $(TARGET) --build-arg VERSION=$(VERSION) \
	$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
	$(if $(INSTALL_CJK_FONTS),--build-arg INSTALL_CJK_FONTS=$(INSTALL_CJK_FONTS)) \
	$(if $(is_podman),--format docker --timestamp $(epoch),--build-arg SOURCE_DATE_EPOCH=$(epoch)) \
	$(BUILD_OPTIONS)
need_registry = $(if $(REGISTRY),,$(error say where to: REGISTRY=registry.example.org/team))

# How long each fuzzer runs.
SECONDS ?= 60

# Who answers in the demo.
PROVIDER  ?= mock
PROVIDERS := mock claude

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast fuzz faults judges build arm64 static bench bench-packages bench-builds growth \
	format lint install uninstall dist deb clean image build-image test-image run-local logs stop docker-login \
	push-image build-multiarch push-multiarch image-sizes

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## See it work: one session, one message, its answer (PROVIDER=claude: the real agent)
	@$(if $(filter-out $(PROVIDERS),$(PROVIDER)),$(error PROVIDER is one of: $(PROVIDERS)))
	@tools/packages.sh build demo $(if $(filter claude,$(PROVIDER)),npm)
	@$(MAKE) --no-print-directory build
	@$(PYTHON) docs/demo.py --provider $(PROVIDER)

test: ## Run all tests: unit, whole program, real agent CLI, real containers
	@tools/packages.sh build static arm64 deb test faults npm container tools deploy bench
	@$(MAKE) --no-print-directory build static
	@$(PYTHON) tests/run.py full

test-fast: ## Run the first tier only: lints, and unit tests with gcc and clang
	@tools/packages.sh build test
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/run.py fast

faults: ## Kill sessions, and let their calls fail, at every instant (about an hour)
	@tools/packages.sh build test faults
	@$(MAKE) --no-print-directory build
	@[ -f build-dev/build.ninja ] || CC=gcc meson setup --native-file build-dev.ini build-dev
	@ninja -C build-dev agent-runner tests/faults/fault-shim.so tests/faults/fault-agent
	@$(PYTHON) tests/faults/run.py

judges: ## Have programs that others wrote judge the protections (docs/security.md)
	@tools/packages.sh build container judges
	@$(MAKE) --no-print-directory build
	@$(PYTHON) tests/judges/run.py

fuzz: ## Fuzz each parser of outside bytes for SECONDS=60, two at a time
	@tools/packages.sh build fuzz
	@$(PYTHON) tests/fuzz/run.py --seconds $(SECONDS)

build: ## Build build/agent-runner
	@[ -f build/build.ninja ] || meson setup build
	@ninja -C build

arm64: ## Build build-arm64/agent-runner, static, with Debian's cross compiler
	@tools/packages.sh build arm64
	@[ -f build-arm64/build.ninja ] || \
		meson setup --cross-file cross/arm64.ini --buildtype=release -Doptimization=2 -Dstatic=enabled build-arm64
	@ninja -C build-arm64 agent-runner

static: ## Build build-static/agent-runner, which needs no file beside itself
	@tools/packages.sh build static
	@[ -f build-static/build.ninja ] || \
		meson setup --buildtype=release -Doptimization=2 -Dc_link_args=-s -Dtests=disabled -Dstatic=enabled build-static
	@ninja -C build-static agent-runner

bench-packages:
	@tools/packages.sh build static bench

# Anew when what stands here has changed, the options perhaps.
build-bench/build.ninja: Makefile | bench-packages
	@rm -rf build-bench
	@meson setup -Dc_link_args=-s -Dtests=disabled build-bench

build-bench-static/build.ninja: Makefile | bench-packages
	@rm -rf build-bench-static
	@meson setup --buildtype=release -Doptimization=2 -Dc_link_args=-s \
		-Dtests=disabled -Dstatic=enabled build-bench-static >/dev/null || :

bench-builds: build-bench/build.ninja build-bench-static/build.ninja
	@ninja -C build-bench
	@[ ! -f build-bench-static/build.ninja ] || ninja -C build-bench-static agent-runner || \
		rm -f build-bench-static/agent-runner

bench: bench-builds ## Measure both builds against floors and peers, and print README's tables (minutes; root)
	@$(PYTHON) bench/bench.py

growth: bench-builds ## Measure how it grows, and make the tables and plots of docs/performance.md (minutes; root)
	@tools/packages.sh npm
	@$(PYTHON) bench/growth.py

image: build-image ## The same as build-image

build-image: ## Build a target of the Dockerfile: TARGET=core VERSION=dev-local IMAGE=agent-runner[-TARGET]
	$(RUNTIME) build $(build_options) -t $(local) -t $(IMAGE):latest .

test-image: ## Try the built image: version, health, user, an answer, no setuid file, its size
	@RUNTIME=$(RUNTIME) tools/image/test.sh $(local) $(TARGET)

run-local: ## Serve WORKSPACE=session in the background; RUN_OPTIONS are docker's; variables are passed
	@mkdir -p $(WORKSPACE)
	$(RUNTIME) run -d --name $(CONTAINER) -v $(WORKSPACE):/workspace --cap-drop=ALL \
		--security-opt no-new-privileges $(if $(filter 0,$(shell id -u)),,--user $(shell id -u):$(shell id -g)) \
		$(if $(is_podman),$(if $(filter 0,$(shell id -u)),,--userns=keep-id)) \
		$(foreach name,$(PASSED),$(if $($(name)),-e $(name))) $(RUN_OPTIONS) $(local)

logs: ## Follow the log of what run-local started
	$(RUNTIME) logs -f $(CONTAINER)

stop: ## Stop and remove what run-local started
	-$(RUNTIME) stop -t 1 $(CONTAINER)
	-$(RUNTIME) rm -f $(CONTAINER)

docker-login: ## Log in at REGISTRY; DOCKER_USER, DOCKER_PASSWORD from the environment, else it asks
	@$(need_registry)$(if $(DOCKER_PASSWORD),printf %s "$$DOCKER_PASSWORD" |) \
		$(RUNTIME) login $(if $(DOCKER_USER),-u "$$DOCKER_USER") \
		$(if $(DOCKER_PASSWORD),--password-stdin) $(firstword $(subst /, ,$(REGISTRY)))

push-image: ## Push the built image to REGISTRY/IMAGE
	@$(need_registry)true
	$(RUNTIME) tag $(local) $(remote)
	$(RUNTIME) push $(remote)

build-multiarch: ## Build for PLATFORMS=linux/amd64,linux/arm64 (docker buildx, or a manifest of podman)
	@RUNTIME=$(RUNTIME) tools/image/multiarch.sh build $(local) $(PLATFORMS) $(build_options)

push-multiarch: ## Build for PLATFORMS and push to REGISTRY/IMAGE
	@$(need_registry)RUNTIME=$(RUNTIME) tools/image/multiarch.sh push $(remote) $(PLATFORMS) $(build_options)

image-sizes: ## Print the table of docs/docker.md: what each image, and each tool in it, costs
	@RUNTIME=$(RUNTIME) $(PYTHON) tools/image/sizes.py $(IMAGE) $(VERSION)

format: ## Lay out all C files by .clang-format
	find common entrypoint runner tests bench tools -name '*.[ch]' -exec $$(command -v clang-format-14 || echo clang-format) -i {} +

lint: ## Check format, layers, headers and mirrored tests
	@status=0; for lint in tests/lint/*.sh; do sh $$lint || [ $$? -eq 77 ] || status=1; done; \
	for lint in tests/lint/*.py; do $(PYTHON) $$lint || status=1; done; exit $$status

install: build ## Install binary, its link ncl, man pages, documents below PREFIX (DESTDIR is kept to)
	@meson configure build -Dprefix=$(PREFIX)
	@meson install -C build

uninstall: ## Remove what the last make install put there
	@ninja -C build uninstall

dist: ## Make dist/: a tarball of what is committed, and SHA256SUMS of what is there
	@tools/dist.sh tarball

deb: ## Make a Debian package of what is committed, in dist/
	@tools/packages.sh build deb
	@tools/dist.sh deb

# Without root, the files of containers belong to users whom only a user namespace can name.
clean: ## Remove what building and testing made
	@[ "$$(id -u)" -eq 0 ] || [ ! -x .cache/container/podman ] || \
		.cache/container/podman unshare rm -rf .cache/container
	rm -rf build build-*/ dist .cache .pytest_cache
