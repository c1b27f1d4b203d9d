use super::*;

#[test]
fn declared_outputs_are_lines_of_every_section_sorted_and_once() {
    let sections: [&[u8]; 2] = [b"rejected\nlate\n", b"\ndefault\nrejected\r\n"];
    assert_eq!(outputs(&sections).unwrap(), ["late", "rejected"]);
    assert_eq!(outputs(&[]).unwrap(), Vec::<String>::new());
}

#[test]
fn outputs_that_are_no_names_are_refused() {
    let many: String = (0..=DECLARED_OUTPUTS_MAX)
        .map(|n| format!("out-{n}\n"))
        .collect();
    for section in [&b"Not a name"[..], b"\xff\xfe", many.as_bytes()] {
        assert_eq!(outputs(&[section]).unwrap_err().code(), "FN2012");
    }
}

#[test]
fn wasi_is_served_in_its_baseline_of_version_0_2() {
    for served in [
        "wasi:cli/exit@0.2.0",
        "wasi:io/streams@0.2.12",
        "wasi:sockets/tcp@0.2.6",
    ] {
        assert!(is_wasi_baseline(served), "{served}");
    }
    for other in [
        "wasi:http/types@0.2.0",
        "wasi:clocks/types@0.3.0",
        "wasi:cli/exit",
        "acme:cli/exit@0.2.0",
    ] {
        assert!(!is_wasi_baseline(other), "{other}");
    }
}

#[test]
fn a_patch_of_the_served_version_is_served() {
    assert!(is_served("0.1.0") && is_served("0.1.9"));
    assert!(!is_served("0.2.0") && !is_served("1.1.0") && !is_served(""));
}
