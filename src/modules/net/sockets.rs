//! The kernel's lists of TCP connections (proc(5), `/proc/net/tcp` and `tcp6`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A connection.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::modules) struct Socket {
    pub(in crate::modules) local: SocketAddr,
    pub(in crate::modules) remote: SocketAddr,
    /// As in the kernel's `tcp_states.h`.
    pub(in crate::modules) state: u8,
}

/// The state of a socket that listens.
pub(in crate::modules) const LISTEN: u8 = 10;

const STATES: &[(&str, u8)] =
    &[("ESTABLISHED", 1), ("SYN_SENT", 2), ("SYN_RECV", 3), ("FIN_WAIT1", 4), ("FIN_WAIT2", 5), ("TIME_WAIT", 6)];

/// A state by its name.
pub(super) fn state(name: &str) -> Option<u8> {
    STATES.iter().find(|(known, _)| *known == name).map(|(_, state)| *state)
}

/// The names of all states that a connection can be waited for in.
pub(super) fn names() -> String {
    STATES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// The connections of such a list; lines that are none are passed over.
pub(in crate::modules) fn parse(text: &str) -> Vec<Socket> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = address(fields.next()?)?;
            let remote = address(fields.next()?)?;
            let state = u8::from_str_radix(fields.next()?, 16).ok()?;
            Some(Socket { local, remote, state })
        })
        .collect()
}

/// `0100007F:1F90`: 32-bit words in the host's byte order, taken to be little-endian.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> = (0..ip.len() / 8)
        .map(|at| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::swap_bytes))
        .collect();
    let ip: IpAddr = match words?.as_slice() {
        [word] => Ipv4Addr::from(*word).into(),
        [a, b, c, d] => {
            let joined = [*a, *b, *c, *d].iter().fold(0_u128, |all, word| (all << 32) | u128::from(*word));
            let ip = Ipv6Addr::from(joined);
            ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel_are_read() {
        let text = "  sl  local_address rem_address   st\n   0: 0100007F:1F90 0200000A:C350 01 0 0\n   \
                    1: 0000000000000000FFFF00000100007F:0016 0000000000000000FFFF00000100007F:9C40 06 0\n";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].local.to_string(), "127.0.0.1:8080");
        assert_eq!(all[0].remote.to_string(), "10.0.0.2:50000");
        assert_eq!((all[1].local.to_string().as_str(), all[1].state), ("127.0.0.1:22", 6));
    }
}
