# `make` or `make help` lists what there is. Each target is one script or one cargo command.

.DEFAULT_GOAL := help
.PHONY: help demo preview-alerts test lint advisories matrix bench fuzz corpus package deploy first-deployment destroy

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

demo: ## see rotations, and such as fail and heal, on this machine (a few minutes the first time)
	@scripts/run demo

preview-alerts: ## every alert as Slack shows it: a page, and pictures where a headless browser is installed
	@cargo run --locked --quiet --package relatch-integration --bin preview

test: ## everything that must hold: lint, build, all tests; also what CI runs
	@scripts/test

lint: ## formatting, warnings, documentation, dependencies, templates, scripts
	@scripts/lint

matrix: ## rotate with a fault at every single operation, in memory and for real, and show who was locked out
	@RELATCH_MATRIX=whole cargo test --locked --package relatch --test rotation --test model
	@scripts/run matrix

bench: ## measure, on a release build, beside AWS's limits and the peers
	@scripts/run bench --release

fuzz: ## feed arbitrary bytes to the event parser for a minute (FUZZ_SECONDS=60)
	@scripts/fuzz $${FUZZ_SECONDS:-60}

corpus: ## what is made of the CloudTrail records in a folder (DIR=…): counts, and everything malformed
	@cargo run --locked --quiet --package relatch-events --example corpus -- $(if $(DIR),"$(DIR)",$(error DIR is not set: make corpus DIR=logs))

advisories: ## look the dependencies up in RustSec's database (fetches it from GitHub)
	@scripts/lint advisories

package: ## make the packages of the functions, for arm64 and x86_64, into target/package (ARCH=… for one)
	@scripts/package $(ARCH)

deploy: ## say what an environment costs, then deploy it (ENV=dev, staging or prod) into the AWS account of your credentials
	@scripts/deploy $(if $(ENV),$(ENV),$(error ENV is not set: make deploy ENV=dev)) $(ALLOW)

first-deployment: ## walk through what only AWS can prove, in an environment (ENV=dev), and write down what is seen; changes nothing
	@scripts/first-deployment $(if $(ENV),$(ENV),$(error ENV is not set: make first-deployment ENV=dev))

destroy: ## delete an environment (ENV=dev), but for secrets, keys and what was recorded
	@scripts/destroy $(if $(ENV),$(ENV),$(error ENV is not set: make destroy ENV=dev))
