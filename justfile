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

# swarms in virtual time: the quick tests of the simulator
sim:
    cargo test --release -p trellis-sim

# every scenario against its goals: minutes, ten-thousand much longer
sim-full:
    for scenario in scenarios/*.toml; do cargo run --release -- sim --check "$scenario" || failed=1; done; [ -z "${failed:-}" ]
