//! The Saga Explorer as a reader has it: a headless Chromium in front of a stack. What is asserted is what is seen, or found by what it is
//! and what it is called. With `EXPLORER_SCREENSHOTS=on` the pictures of the documentation are made anew.

mod access;
mod browser;
mod management;
mod operating;
mod stories;

use crate::world::{Fallible, MUG, World};
use browser::Browser;
use sagactl::client::{Service, explorer};
use sagactl::stack::eventually;
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// An operator's page.
async fn page_of(world: &World) -> Fallible<Browser> {
    let browser = Browser::open().await?;
    browser.go(&explorer(&world.stack.url(Service::Order)?, world.stack.token())).await?;
    browser.shows("operator").await?;
    assert!(!browser.address().await?.contains("token"), "the address does not keep the token");
    Ok(browser)
}

impl Browser {
    /// Shows another view, which its link in the navigation names.
    async fn view(&self, name: &str) -> Fallible<()> {
        self.click("link", name).await
    }

    /// Places an order with what has been chosen, and returns it once its story is on the page.
    async fn place(&self, customer: &str, method: &str) -> Fallible<Uuid> {
        let before = self.address().await?;
        self.write("Customer", customer).await?;
        self.choose("Article", MUG).await?;
        self.choose("Paid by", method).await?;
        self.click("button", "Place the order").await?;
        self.chosen(&before).await
    }

    async fn chosen(&self, before: &str) -> Fallible<Uuid> {
        eventually("the story of the new order", || async {
            let now = self.address().await?;
            let id = now.split("#/sagas/").nth(1).filter(|_| now != before);
            Ok(id.and_then(|id| id.parse().ok()))
        })
        .await
    }

    /// Nothing sticks out of the window, and it can be read: 4.5 to 1 is WCAG's AA.
    async fn fits_and_can_be_read(&self, what: &str) -> Fallible<()> {
        let wide = self.run("return [document.documentElement.scrollWidth, innerWidth]").await?;
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{what} is {} wide in a window of {}", wide[0], wide[1]);
        let weakest = self.run(CONTRASTS).await?;
        assert!(weakest[1].as_f64().is_some_and(|ratio| ratio >= 4.5), "{what}: {weakest}");
        Ok(())
    }

    async fn screenshot(&self, name: &str) -> Fallible<()> {
        if std::env::var_os("EXPLORER_SCREENSHOTS").is_none() {
            return Ok(());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screenshots");
        let file = std::fs::File::create(folder.join(name))?;
        let mut decoder =
            tokio::process::Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(file).spawn()?;
        decoder.stdin.take().ok_or("no input")?.write_all(self.picture().await?.as_bytes()).await?;
        assert!(decoder.wait().await?.success());
        Ok(())
    }
}

/// The weakest contrast of all colours that text has, with the panel that it stands on.
const CONTRASTS: &str = r#"
    const style = getComputedStyle(document.documentElement);
    const light = (name) => {
        const hex = style.getPropertyValue(name).trim().slice(1);
        const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const panel = light("--panel");
    const all = ["ink", "dim", "accent", "good", "bad", "comp", "wait", "fault", "held"].map((name) => {
        const tone = light("--" + name);
        return [name, (Math.max(tone, panel) + 0.05) / (Math.min(tone, panel) + 0.05)];
    });
    return all.sort((a, b) => a[1] - b[1])[0];
"#;
