# Recipes call the scripts; CI calls the same ones.

# everything CI runs
test:
    ./scripts/test

# formatting, lints, direction rules, freshness of the web bundle
check:
    ./scripts/check

# the demo: one command, one URL
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# rebuild the committed watch page
web:
    ./scripts/build-web

# slow suites: fuzzing, dependency audit
test-full:
    ./scripts/test-full

# comparisons, with the numbers the documents quote
bench *ARGS:
    ./bench/run {{ARGS}}

# swarms in virtual time: every scenario cut down, as in CI
sim *ARGS:
    ./scripts/sim-quick {{ARGS}}

# the model three ways (closed form, event simulation, full protocol): tables and figures of docs/model.md
model-report:
    ./scripts/model-report

# every scenario whole, against its goals: ten-thousand alone takes many minutes
sim-full *ARGS:
    cargo run --release -p trellis -- sim --check scenarios/*.toml {{ARGS}}
