//! A body of a store, as it is kept: plain, compressed, or with shared pieces in it (`docs/store.md`).
use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

const PLAIN: u8 = 0;
const ZLIB: u8 = 1;
const ZLIB_LIKE: u8 = 2;
const WITH_PIECES: u8 = 3;
/// Bytes of a number.
const NUMBER: usize = 4;
/// The window of zlib, as a power of two.
const WINDOW: u8 = 15;
/// A compressed body is about so many times as long without compression.
const TIMES: usize = 10;

/// The numbers of the shared pieces that a body needs; `None` if it is not such a body.
#[must_use]
pub fn needed(kept: &[u8]) -> Option<Vec<u32>> {
    match kept.split_first()? {
        (&(PLAIN | ZLIB), _) => Some(Vec::new()),
        (&ZLIB_LIKE, rest) => Some(vec![number(rest, 0)?]),
        (&WITH_PIECES, rest) => {
            let (places, rest) = places(rest)?;
            let mut found = needed(rest)?;
            found.extend(places.iter().map(|(_, piece)| piece));
            Some(found)
        }
        _ => None,
    }
}

/// A body from what is kept of it; `None` if that is not exactly what was written, or a piece is missing.
///
/// # Arguments
/// * `piece`: gives a shared piece by its number.
/// * `most`: give only so many bytes from the beginning; 0: all.
pub fn unpacked<P: AsRef<[u8]>>(
    kept: &[u8],
    piece: &impl Fn(u32) -> Option<P>,
    most: usize,
) -> Option<Vec<u8>> {
    let cut = |length: usize| if most == 0 { length } else { length.min(most) };
    let (codec, rest) = kept.split_first()?;
    match *codec {
        PLAIN => rest.get(..cut(rest.len())).map(<[u8]>::to_vec),
        ZLIB => inflated(rest, None, most),
        ZLIB_LIKE => {
            let like = piece(number(rest, 0)?)?;
            inflated(rest.get(NUMBER..)?, Some(like.as_ref()), most)
        }
        WITH_PIECES => {
            let (places, rest) = places(rest)?;
            let rest = unpacked(rest, piece, 0)?;
            let mut found = Vec::with_capacity(2 * rest.len());
            let mut before = 0;
            for (at, number) in places {
                found.extend_from_slice(rest.get(before..at)?);
                found.extend_from_slice(piece(number)?.as_ref());
                before = at;
            }
            found.extend_from_slice(rest.get(before..)?);
            found.truncate(cut(found.len()));
            Some(found)
        }
        _ => None,
    }
}

/// Places in the rest of a body, each with the number of the piece that stands there.
type Places = Vec<(usize, u32)>;

/// Places in the rest of a body and the pieces that stand there, and the rest as it is kept.
fn places(kept: &[u8]) -> Option<(Places, &[u8])> {
    let count = number(kept, 0)? as usize;
    let end = count.checked_mul(2 * NUMBER)?.checked_add(NUMBER)?;
    let rest = kept.get(end..)?;
    let found = (NUMBER..end)
        .step_by(2 * NUMBER)
        .map(|at| Some((number(kept, at)? as usize, number(kept, at + NUMBER)?)))
        .collect::<Option<_>>()?;
    Some((found, rest))
}

fn number(kept: &[u8], at: usize) -> Option<u32> {
    kept.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Decompresses a whole stream, or its beginning.
fn inflated(kept: &[u8], dictionary: Option<&[u8]>, most: usize) -> Option<Vec<u8>> {
    let mut inflate = Inflate::new(true, WINDOW);
    let mut out = vec![0; if most == 0 { kept.len().checked_mul(TIMES)?.max(NUMBER) } else { most }];
    let (mut read, mut written) = (0, 0);
    loop {
        let found = inflate.decompress(kept.get(read..)?, out.get_mut(written..)?, InflateFlush::NoFlush);
        let (before, input) = (written, read);
        (read, written) =
            (usize::try_from(inflate.total_in()).ok()?, usize::try_from(inflate.total_out()).ok()?);
        match found {
            Ok(Status::StreamEnd) if read == kept.len() => break,
            Err(InflateError::NeedDict { .. }) => inflate.set_dictionary(dictionary?).map(|_| ()).ok()?,
            Ok(Status::StreamEnd) | Err(_) => return None, // something follows, or it is damaged
            Ok(_) if written == out.len() && most > 0 => break,
            Ok(_) if written == out.len() => out.resize(out.len().checked_mul(2)?, 0),
            Ok(_) if (before, input) == (written, read) => return None, // it ends early
            Ok(_) => {}
        }
    }
    out.truncate(written);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zlib_rs::{Deflate, DeflateFlush};

    fn deflated(text: &[u8], dictionary: Option<&[u8]>) -> Vec<u8> {
        let mut deflate = Deflate::new(1, true, WINDOW);
        if let Some(dictionary) = dictionary {
            deflate.set_dictionary(dictionary).unwrap();
        }
        let mut out = vec![0; 2 * text.len() + 100];
        assert_eq!(deflate.compress(text, &mut out, DeflateFlush::Finish).unwrap(), Status::StreamEnd);
        out.truncate(usize::try_from(deflate.total_out()).unwrap());
        out
    }

    fn body(codec: u8, parts: &[&[u8]]) -> Vec<u8> {
        [&[codec][..], &parts.concat()].concat()
    }

    fn pieces(number: u32) -> Option<Vec<u8>> {
        (number == 7).then(|| b"the dictionary".to_vec())
    }

    #[test]
    fn each_kind_of_body_is_read_whole_or_in_part() {
        let text = b"the dictionary and more, again and again, ".repeat(500);
        let like = deflated(&text, Some(b"the dictionary"));
        let plain = body(PLAIN, &[&text]);
        let kept = [
            plain.clone(),
            body(ZLIB, &[&deflated(&text, None)]),
            body(ZLIB_LIKE, &[&7_u32.to_be_bytes(), &like]),
            body(WITH_PIECES, &[&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7], &body(PLAIN, &[&text[14..]])]),
        ];
        for (each, number) in kept.iter().zip([0, 0, 1, 1]) {
            assert_eq!(needed(each).unwrap(), [7_u32].repeat(number));
            assert_eq!(unpacked(each, &pieces, 0).unwrap(), text);
            assert_eq!(unpacked(each, &pieces, 20).unwrap(), text[..20]);
        }
    }

    #[test]
    fn it_gives_up_on_damage() {
        let whole = deflated(&b"text ".repeat(100), None);
        let no_dictionary = deflated(b"text", Some(b"the dictionary"));
        let mut turned = whole.clone();
        turned[6] ^= 0xFF;
        for kept in [
            Vec::new(),
            b"x".to_vec(),
            body(ZLIB, &[]),
            body(ZLIB, &[&whole[..whole.len() - 5]]),
            body(ZLIB, &[&whole, b"x"]),
            body(ZLIB, &[&turned]),
            body(ZLIB, &[&no_dictionary]),
            body(ZLIB_LIKE, &[&9_u32.to_be_bytes(), &no_dictionary]),
            body(ZLIB_LIKE, &[&[0, 0]]),
            body(WITH_PIECES, &[&[0xFF; 4], b"rest"]),
            body(WITH_PIECES, &[&[0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7], &body(PLAIN, &[b"abc"])]),
        ] {
            assert_eq!(unpacked(&kept, &pieces, 0), None, "{kept:?}");
        }
    }
}
