//! Components made by hand, byte by byte, of what no compiler would write.

/// A component that passes every check before compiling, with one core function in it of `locals`
/// variables and `blocks` branches: the compiler joins every variable at every branch.
pub(crate) fn bomb(locals: u32, blocks: u32) -> Vec<u8> {
    let mut body = [leb(1), leb(locals), vec![0x7f]].concat();
    for block in 0..blocks {
        let local = |step: u32| leb(1 + block.wrapping_mul(step) % locals);
        let (to, from) = (local(7_919), local(104_729));
        // local.get to, if, local.get from, i32.const 1, i32.add, local.set to, end
        body.extend([0x20].iter().chain(&to).chain(&[0x04, 0x40, 0x20]));
        body.extend(from.iter().chain(&[0x41, 1, 0x6a, 0x21]).chain(&to));
        body.push(0x0b);
    }
    body.extend([0x20, 0, 0x0b]);
    let code = [leb(1), leb(size(&body)), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]),
        section(3, &[1, 0]),
        section(10, &code),
    ];
    // An empty instance, exported as the handler.
    let export = [&[1], &*name("fnctl:function/handler@0.1.0"), &[5, 0, 0]].concat();
    [
        b"\0asm\x0d\0\x01\0".to_vec(),
        section(5, &[1, 1, 0]),
        section(11, &export),
        section(1, &module.concat()),
    ]
    .concat()
}

/// A component whose core module runs `code` as its start function, and exports a `handle` without
/// parameters or results. Its memory starts with `pages` of 64 KiB.
pub(crate) fn starting(pages: u32, code: &[u8]) -> Vec<u8> {
    let body = |code: &[u8]| [&*leb(size(code) + 1), &[0], code].concat();
    let handle = [&[6], &b"handle"[..]].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[2, 0, 0]),
        section(5, &[&[1, 0], &*leb(pages)].concat()),
        section(7, &[&[1], &*handle, &[0, 1]].concat()),
        section(8, &[0]),
        section(10, &[&[2], &*body(code), &body(&[0x0b])].concat()),
    ];
    let export = [&[1], &*name("fnctl:function/handler@0.1.0"), &[5, 0, 0]].concat();
    [
        b"\0asm\x0d\0\x01\0".to_vec(),
        section(1, &module.concat()),
        // An instance of it, its `handle`, the type of that, lifted, in an instance with that one export.
        section(2, &[1, 0, 0, 0]),
        section(6, &[&[1, 0, 0, 1, 0], &*handle].concat()),
        section(7, &[1, 0x40, 0, 1, 0]),
        section(8, &[1, 0, 0, 0, 0, 0]),
        section(5, &[&[1, 1, 1], &*name("handle"), &[1, 0]].concat()),
        section(11, &export),
    ]
    .concat()
}

/// `unreachable`.
pub(crate) const TRAP: &[u8] = &[0x00, 0x0b];
/// `loop br 0 end`.
pub(crate) const LOOP: &[u8] = &[0x03, 0x40, 0x0c, 0, 0x0b, 0x0b];
/// `loop`, grow memory by a mebibyte, `unreachable` when that is refused, `br 0 end`.
pub(crate) const ALLOCATE: &[u8] = &[
    0x03, 0x40, 0x41, 16, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b, 0x0c, 0, 0x0b, 0x0b,
];
/// Nothing.
pub(crate) const NOTHING: &[u8] = &[0x0b];

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], &*leb(size(body)), body].concat()
}

fn name(name: &str) -> Vec<u8> {
    [&[0], &*leb(size(name.as_bytes())), name.as_bytes()].concat()
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("these components are small")
}

fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
