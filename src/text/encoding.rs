//! Text in encodings other than UTF-8, by the names that Python gives them.

/// An encoding that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Ascii,
    Latin1,
    Latin9,
    Utf16 { big: bool, mark: bool },
}

fn find(name: &str) -> Result<Encoding, String> {
    Ok(match name.to_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" => Encoding::Utf8,
        "ascii" | "usascii" => Encoding::Ascii,
        "iso88591" | "latin1" | "88591" => Encoding::Latin1,
        "iso885915" | "latin9" | "885915" => Encoding::Latin9,
        "utf16" => Encoding::Utf16 { big: false, mark: true },
        "utf16le" => Encoding::Utf16 { big: false, mark: false },
        "utf16be" => Encoding::Utf16 { big: true, mark: false },
        _ => {
            return Err(format!(
                "the encoding `{name}` is not supported: utf-8, utf-16, utf-16-le, utf-16-be, ascii, iso8859-1 and iso8859-15 are"
            ));
        }
    })
}

/// Where ISO 8859-15 differs from ISO 8859-1.
const LATIN9: [(u8, char); 8] =
    [(0xa4, '€'), (0xa6, 'Š'), (0xa8, 'š'), (0xb4, 'Ž'), (0xb8, 'ž'), (0xbc, 'Œ'), (0xbd, 'œ'), (0xbe, 'Ÿ')];

/// The text of bytes in an encoding.
///
/// # Errors
/// The encoding is not known, or the bytes are none of it.
pub fn decode(bytes: &[u8], name: &str) -> Result<String, String> {
    let wrong = || format!("the bytes are no text in the encoding `{name}`");
    match find(name)? {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|_| wrong()),
        Encoding::Ascii if bytes.is_ascii() => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::Ascii => Err(wrong()),
        Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::Latin9 => {
            let differing = |byte: u8| LATIN9.iter().find(|(known, _)| *known == byte).map(|(_, c)| *c);
            Ok(bytes.iter().map(|byte| differing(*byte).unwrap_or(char::from(*byte))).collect())
        }
        Encoding::Utf16 { big, mark } => {
            let (big, bytes) = match bytes {
                [0xff, 0xfe, rest @ ..] if mark => (false, rest),
                [0xfe, 0xff, rest @ ..] if mark => (true, rest),
                all => (big, all),
            };
            if bytes.len() % 2 != 0 {
                return Err(wrong());
            }
            let units = bytes.chunks_exact(2).map(|pair| {
                let pair = [pair[0], pair[1]];
                if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
            });
            char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| wrong())
        }
    }
}

/// The bytes of a text in an encoding.
///
/// # Errors
/// The encoding is not known, or has not all characters of the text.
pub fn encode(text: &str, name: &str) -> Result<Vec<u8>, String> {
    let encoding = find(name)?;
    let single = |c: char| {
        let byte = u8::try_from(u32::from(c)).ok();
        let found = match encoding {
            Encoding::Ascii => byte.filter(u8::is_ascii),
            Encoding::Latin9 => match LATIN9.iter().find(|(_, known)| *known == c) {
                Some((byte, _)) => Some(*byte),
                None => byte.filter(|byte| LATIN9.iter().all(|(taken, _)| taken != byte)),
            },
            _ => byte,
        };
        found.ok_or_else(|| format!("the encoding `{name}` has no character `{c}`"))
    };
    match encoding {
        Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
        Encoding::Ascii | Encoding::Latin1 | Encoding::Latin9 => text.chars().map(single).collect(),
        Encoding::Utf16 { big, mark } => {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            Ok(units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        for name in ["utf-8", "UTF-16", "utf-16-le", "utf_16_be"] {
            assert_eq!(decode(&encode("a€🦀", name).unwrap(), name).unwrap(), "a€🦀", "{name}");
        }
        assert_eq!(encode("é€", "iso8859-15").unwrap(), [0xe9, 0xa4]);
        assert_eq!(decode(&[0xe9, 0xa4], "iso8859-15").unwrap(), "é€");
        assert_eq!(decode(&[0xe9, 0xa4], "latin-1").unwrap(), "é¤");
        assert_eq!(encode("a€", "utf-16-le").unwrap(), [b'a', 0, 0xac, 0x20]);
    }

    #[test]
    fn what_an_encoding_has_not_is_refused() {
        assert!(encode("€", "latin-1").unwrap_err().contains("no character `€`"));
        assert!(encode("¤", "iso8859-15").is_err());
        assert!(decode(&[0xe9], "ascii").is_err());
        assert!(decode(&[0xe9], "utf-8").is_err());
        assert!(decode(&[0x61], "utf-16-le").is_err());
        assert!(decode(&[0x00, 0xd8], "utf-16-le").is_err());
        assert!(encode("a", "ebcdic").unwrap_err().contains("not supported"));
    }
}
