//! The records, the same in every run.

/// The body of record `number`: every fourth is inactive, one in sixteen has an escape, one in eight
/// a letter beyond ASCII.
#[must_use]
pub fn body(number: u64) -> Vec<u8> {
    let mix = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let pick = |shift: u32, of: u64| (mix >> shift) % of;
    let first = [
        "Ada",
        "Grace",
        "Linus",
        "Edsger",
        "Barbara",
        "Donald",
        "Zo\u{eb}",
        "Ren\u{e9}",
    ][pick(8, 8) as usize];
    let last = if number % 16 == 3 {
        r#"O\"Brien"#
    } else {
        "Hamilton"
    };
    let plan = ["fiber-100", "fiber-1000", "copper-25", "cable-250"][pick(12, 4) as usize];
    let area = super::table::AREAS[pick(20, 256) as usize];
    let (house, age, score) = (pick(28, 9_000), 18 + pick(36, 70), pick(40, 1_000));
    let is_active = number % 4 != 1;
    format!(
        r#"{{"user_id":{number},"name":"{first} {last}","email":"user.{number}@customers.example","street":"{house} Main Street, Springfield","area":"{area}","plan":"{plan}","age":{age},"score":0.{score:03},"is_active":{is_active}}}"#
    )
    .into_bytes()
}

/// The partition key of record `number`: about 50 000 keys, 20 bytes each.
#[must_use]
pub fn key(number: u64) -> Vec<u8> {
    format!("customer-{:011}", number.wrapping_mul(7_919) % 50_021).into_bytes()
}
