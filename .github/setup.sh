#!/bin/sh
# Installs the compiler for a job of CI, and makes it known to the job's next steps. The
# version is the one that tests/run is developed with.
set -eu
version=1.95.0

export CARGO_HOME="$HOME/.cargo" RUSTUP_HOME="$HOME/.rustup"
curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
    sh -s -- -y --quiet --no-modify-path --profile minimal \
        --default-toolchain "$version" --component clippy,rustfmt
echo "$CARGO_HOME/bin" >>"$GITHUB_PATH"
# The tree belongs to another user in the container.
git config --global --add safe.directory "$PWD"
