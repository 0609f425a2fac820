//! Free TCP ports below the range that the kernel gives to outgoing connections.
//!
//! Ports come in blocks. Whoever listens on the first port of a block owns the rest, so launchers that run side by side never race for one.

use std::net::{Ipv4Addr, TcpListener};

use super::StackError;

const FIRST_BLOCK: u16 = 20_000;
const LAST_BLOCK: u16 = 31_900;
const BLOCK_PORTS: u16 = 100;

/// A supply of free ports on 127.0.0.1, owned until dropped.
#[derive(Debug)]
pub(super) struct Ports {
    first: Block,
    more: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    base: u16,
    used: u16,
    /// Held, never accepted from: it marks the block as ours.
    _claim: TcpListener,
}

impl Ports {
    /// Takes the block that begins at `preferred` if nobody has it, any other one otherwise.
    pub(super) fn claim(preferred: Option<u16>) -> Result<Self, StackError> {
        let kept = preferred.filter(|base| (FIRST_BLOCK..=LAST_BLOCK).contains(base)).and_then(Block::claim);
        let first = kept.or_else(Block::claim_any).ok_or(StackError::NoPorts)?;
        Ok(Self { first, more: Vec::new() })
    }

    /// Where the first block begins; give it to [`Ports::claim`] to get the same ports again.
    pub(super) fn base(&self) -> u16 {
        self.first.base
    }

    /// The next port that nobody listens on. The same calls on the same block give the same ports, as long as strangers leave it alone.
    pub(super) fn take(&mut self) -> Result<u16, StackError> {
        let block = self.more.last_mut().unwrap_or(&mut self.first);
        if let Some(port) = block.take() {
            return Ok(port);
        }
        let mut block = Block::claim_any().ok_or(StackError::NoPorts)?;
        let port = block.take().ok_or(StackError::NoPorts)?;
        self.more.push(block);
        Ok(port)
    }
}

impl Block {
    fn claim(base: u16) -> Option<Self> {
        let claim = listen(base)?;
        Some(Self { base, used: 0, _claim: claim })
    }

    fn claim_any() -> Option<Self> {
        let blocks = (LAST_BLOCK - FIRST_BLOCK) / BLOCK_PORTS + 1;
        let start = rand::random_range(0..blocks);
        (0..blocks).map(|step| FIRST_BLOCK + (start + step) % blocks * BLOCK_PORTS).find_map(Self::claim)
    }

    fn take(&mut self) -> Option<u16> {
        while self.used + 1 < BLOCK_PORTS {
            self.used += 1;
            let port = self.base + self.used;
            if listen(port).is_some() {
                return Some(port);
            }
        }
        None
    }
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_one_owner_and_comes_back() -> Result<(), StackError> {
        let mut mine = Ports::claim(None)?;
        let base = mine.base();
        let first = mine.take()?;
        let other = Ports::claim(Some(base))?;
        assert_ne!(other.base(), base, "a block that is owned cannot be claimed again");
        drop(mine);
        let mut again = Ports::claim(Some(base))?;
        assert_eq!((again.base(), again.take()?), (base, first), "a free block gives the same ports again");
        Ok(())
    }

    #[test]
    fn an_exhausted_block_is_followed_by_another() -> Result<(), StackError> {
        let mut ports = Ports::claim(None)?;
        let mut taken = std::collections::BTreeSet::new();
        for _ in 0..BLOCK_PORTS + 10 {
            assert!(taken.insert(ports.take()?), "no port is given twice");
        }
        Ok(())
    }
}
