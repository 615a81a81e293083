#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let found = drmwatch_fuzz::TARGETS.iter().find(|t| t.0 == "chain");
    (found.expect("a target").1)(bytes);
});
