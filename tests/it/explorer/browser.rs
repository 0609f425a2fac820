//! A headless Chromium, spoken to as WebDriver (W3C) has it: JSON over HTTP, so that it takes no library. Elements are found as people find
//! them: by what they are and what they are called.

use crate::world::Fallible;
use reqwest::{Client, Method};
use sagactl::stack::eventually;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// The name of an element's id, in the words of the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Ends the driver and all browsers when its standard input ends: also if this process is killed. The driver alone writes to the
/// standard output, which thus ends with it.
const WATCHED: &str = "chromedriver --port=0 & exec > /dev/null; cat; kill -TERM 0";
/// The driver says `IPv6 port not available` and ends if the port that it has chosen for IPv4 is somebody else's there.
const UNLUCKY: &str = "port not available";
/// It is chosen anew each time.
const MORE_ATTEMPTS: u32 = 5;
pub(super) const TAB: &str = "\u{E004}";
pub(super) const ENTER: &str = "\u{E007}";

/// What an element can be, and where to look for one.
const ROLES: [(&str, &str); 7] = [
    ("article", "article"),
    ("button", "button"),
    ("combobox", "select"),
    ("link", "a"),
    ("listitem", "li"),
    ("spinbutton", "input[type=number]"),
    ("textbox", "input:not([type]), textarea"),
];

/// One browser with one window, and the driver it hangs on; both end with this.
pub(super) struct Browser {
    http: Client,
    session: String,
    driver: Child,
    profile: PathBuf,
}

/// Something on the page.
pub(super) struct Element(String);

impl Browser {
    pub(super) async fn open() -> Fallible<Self> {
        let missing = "these tests need Chromium and its driver (apt-get install chromium chromium-driver)";
        let found = Command::new("chromedriver").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|error| format!("{missing}: {error}"))?;
        let mut begun = drive()?;
        for _ in 0..MORE_ATTEMPTS {
            match begun {
                Err(said) if said.contains(UNLUCKY) => begun = drive()?,
                _ => break,
            }
        }
        let (driver, port) = begun.map_err(|said| format!("chromedriver ended at once: {said}"))?;
        let http = Client::builder().no_proxy().timeout(ANSWERS_WITHIN).build()?;
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{port}"));
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}}});
        let base = format!("http://127.0.0.1:{port}/session");
        let begun = answer(http.post(&base).json(&wanted).send().await?).await;
        let id = match begun {
            Ok(begun) => begun["sessionId"].as_str().ok_or("no session")?.to_owned(),
            Err(error) => return Err(format!("{missing}: {error}").into()),
        };
        let browser = Self { http, session: format!("{base}/{id}"), driver, profile };
        browser.resize(1280, 900).await?;
        Ok(browser)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Fallible<Value> {
        let request = self.http.request(method, format!("{}{path}", self.session));
        answer(body.map_or(request.try_clone().ok_or("no body")?, |body| request.json(&body)).send().await?).await
    }

    async fn tell(&self, path: &str, body: Value) -> Fallible<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(super) async fn go(&self, url: &str) -> Fallible<()> {
        self.tell("/url", json!({ "url": url })).await.map(drop)
    }

    pub(super) async fn address(&self) -> Fallible<String> {
        Ok(self.ask(Method::GET, "/url", None).await?.as_str().unwrap_or_default().to_owned())
    }

    pub(super) async fn run(&self, script: &str) -> Fallible<Value> {
        self.tell("/execute/sync", json!({"script": script, "args": []})).await
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Fallible<()> {
        self.tell("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await.map(drop)
    }

    pub(super) async fn resize(&self, width: u32, height: u32) -> Fallible<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await
    }

    pub(super) async fn dark(&self, dark: bool) -> Fallible<()> {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await
    }

    /// All that a reader sees now.
    pub(super) async fn text(&self) -> Fallible<String> {
        Ok(self.run("return document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a reader sees this.
    pub(super) async fn shows(&self, words: &str) -> Fallible<()> {
        let seen = eventually(words, || async { Ok(self.text().await?.contains(words).then_some(())) }).await;
        match seen {
            Ok(()) => Ok(()),
            Err(error) => Err(format!("{error}; the page shows:\n{}", self.text().await?).into()),
        }
    }

    /// Waits until a reader does not see this any more.
    pub(super) async fn hides(&self, words: &str) -> Fallible<()> {
        eventually(&format!("no {words}"), || async { Ok((!self.text().await?.contains(words)).then_some(())) })
            .await?;
        Ok(())
    }

    /// The element of this role whose accessible name contains these words, once there is one.
    pub(super) async fn find(&self, role: &str, name: &str) -> Fallible<Element> {
        let found = eventually(&format!("the {role} `{name}`"), || async { self.look(role, name).await }).await;
        match found {
            Ok(element) => Ok(element),
            Err(error) => Err(format!("{error}; the page shows:\n{}", self.text().await?).into()),
        }
    }

    async fn look(&self, role: &str, name: &str) -> Fallible<Option<Element>> {
        let (_, selector) = ROLES.iter().find(|(known, _)| *known == role).ok_or("a role that is not looked for")?;
        let all = self.tell("/elements", json!({"using": "css selector", "value": selector})).await?;
        for element in all.as_array().ok_or("no list")?.iter().filter_map(|it| it[ELEMENT].as_str()) {
            // What has been drawn anew since is found the next time.
            let Ok(label) = self.ask(Method::GET, &format!("/element/{element}/computedlabel"), None).await else {
                return Ok(None);
            };
            let displayed = self.ask(Method::GET, &format!("/element/{element}/displayed"), None).await;
            if label.as_str().is_some_and(|label| label.contains(name)) && displayed.is_ok_and(|it| it == json!(true)) {
                return Ok(Some(Element(element.to_owned())));
            }
        }
        Ok(None)
    }

    pub(super) async fn click(&self, role: &str, name: &str) -> Fallible<()> {
        let Element(id) = self.find(role, name).await?;
        self.tell(&format!("/element/{id}/click"), json!({})).await.map(drop)
    }

    /// Writes into a field, in place of what is there.
    pub(super) async fn write(&self, name: &str, text: &str) -> Fallible<()> {
        let Element(id) = self.find("textbox", name).await?;
        self.tell(&format!("/element/{id}/clear"), json!({})).await?;
        self.tell(&format!("/element/{id}/value"), json!({ "text": text })).await.map(drop)
    }

    /// Chooses from a list, once the list has it.
    pub(super) async fn choose(&self, list: &str, option: &str) -> Fallible<()> {
        let Element(id) = self.find("combobox", list).await?;
        let wanted = json!({"using": "xpath", "value": format!(".//option[@value={option:?}]")});
        let found = eventually(option, || async {
            let all = self.tell(&format!("/element/{id}/elements"), wanted.clone()).await?;
            Ok(all[0][ELEMENT].as_str().map(str::to_owned))
        })
        .await?;
        self.tell(&format!("/element/{found}/click"), json!({})).await.map(drop)
    }

    /// Presses a key, wherever the focus is.
    pub(super) async fn press(&self, key: &str) -> Fallible<()> {
        let press = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.tell("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": press}]})).await.map(drop)
    }

    /// What has the focus, by name.
    pub(super) async fn focused(&self) -> Fallible<String> {
        let active = self.ask(Method::GET, "/element/active", None).await?;
        let id = active[ELEMENT].as_str().ok_or("nothing has the focus")?;
        let label = self.ask(Method::GET, &format!("/element/{id}/computedlabel"), None).await?;
        Ok(label.as_str().unwrap_or_default().to_owned())
    }

    /// The window as a PNG, in base64.
    pub(super) async fn picture(&self) -> Fallible<String> {
        Ok(self.ask(Method::GET, "/screenshot", None).await?.as_str().unwrap_or_default().to_owned())
    }

    /// What the page's scripts did wrong, and what its policy kept them from.
    pub(super) async fn complaints(&self) -> Fallible<Vec<String>> {
        let log = self.tell("/se/log", json!({"type": "browser"})).await?;
        let lines = log.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        let wrong = ["Error:", "Uncaught", "Content Security Policy", "TrustedHTML"];
        Ok(lines.filter(|line| wrong.iter().any(|word| line.contains(word))).map(str::to_owned).collect())
    }
}

async fn answer(response: reqwest::Response) -> Fallible<Value> {
    let value = response.json::<Value>().await?["value"].take();
    match value["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", value["message"].as_str().unwrap_or_default()).into()),
        None => Ok(value),
    }
}

/// Starts the driver; tells its port, or what it said instead.
fn drive() -> Fallible<Result<(Child, String), String>> {
    let mut driver = Command::new("sh")
        .args(["-c", WATCHED])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let mut output = BufReader::new(driver.stdout.take().ok_or("no output")?);
    let mut said = String::new();
    loop {
        let mut line = String::new();
        if output.read_line(&mut line)? == 0 {
            drop(driver.stdin.take());
            driver.wait()?;
            return Ok(Err(said));
        }
        if let Some(port) = line.trim().strip_prefix("ChromeDriver was started successfully on port ") {
            // Read on, or it would wait some day for somebody to read what it says.
            std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
            return Ok(Ok((driver, port.trim_end_matches('.').to_owned())));
        }
        said.push_str(&line);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
        // What a browser that is just ending still writes there stays; it is the build's folder.
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
