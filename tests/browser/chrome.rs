//! Chromium and the portal that it looks at, both started for one test and ended with it.

use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use thirtyfour::ChromeCapabilities;
use thirtyfour::prelude::*;

/// A process that ends with the test.
pub struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where browsers put what is downloaded.
pub const DOWNLOADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/downloads");

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn answers(url: &str) {
    // Clients of this process want one, also for plain HTTP.
    drop(rustls::crypto::ring::default_provider().install_default());
    let started = Instant::now();
    while !reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(started.elapsed() < Duration::from_secs(30), "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Portal and worker as the demo runs them, on a free port.
pub struct Portal {
    pub base: String,
    _process: Ends,
}

impl Portal {
    pub async fn start() -> Self {
        let base = format!("http://127.0.0.1:{}", free_port());
        let process = Command::new(env!("CARGO_BIN_EXE_tenure"))
            .arg("demo")
            .env("TENURE_WEB__LISTEN", base.trim_start_matches("http://"))
            .env("TENURE_WEB__BASE_URL", &base)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let portal = Self { _process: Ends(process), base };
        answers(&format!("{}/readyz", portal.base)).await;
        portal
    }
}

/// How somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Wide,
    WideDark,
    Phone,
    PhoneDark,
    WithoutScript,
}

impl Look {
    pub const ALL: [Look; 4] = [Self::Wide, Self::WideDark, Self::Phone, Self::PhoneDark];

    pub fn word(self) -> &'static str {
        match self {
            Self::Wide => "1360-light",
            Self::WideDark => "1360-dark",
            Self::Phone => "390-light",
            Self::PhoneDark => "390-dark",
            Self::WithoutScript => "1360-without-script",
        }
    }

    pub fn is_dark(self) -> bool {
        matches!(self, Self::WideDark | Self::PhoneDark)
    }

    fn capabilities(self) -> ChromeCapabilities {
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1360,900",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        if self.is_dark() {
            capabilities.add_arg("--force-dark-mode").unwrap();
        }
        if matches!(self, Self::Phone | Self::PhoneDark) {
            let metrics = serde_json::json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 1.0}});
            capabilities.add_experimental_option("mobileEmulation", metrics).unwrap();
        }
        let mut prefs = serde_json::json!({"download.default_directory": DOWNLOADS});
        if self == Self::WithoutScript {
            prefs["profile.managed_default_content_settings.javascript"] = 2.into();
        }
        capabilities.add_experimental_option("prefs", prefs).unwrap();
        capabilities
    }
}

/// One person's browser. Its session is ended by [`Browser::close`]; after a failure by chromedriver's end alone.
pub struct Browser {
    /// Never dropped: its own drop waits for a session that a failed test has not ended.
    pub driver: ManuallyDrop<WebDriver>,
    pub base: String,
    _chromedriver: Ends,
}

impl Browser {
    pub async fn open(portal: &Portal, look: Look) -> Self {
        let port = free_port();
        let chromedriver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed by scripts/test");
        let chromedriver = Ends(chromedriver);
        let url = format!("http://127.0.0.1:{port}");
        answers(&format!("{url}/status")).await;
        let driver = WebDriver::new(&url, look.capabilities()).await.unwrap();
        Self { driver: ManuallyDrop::new(driver), base: portal.base.clone(), _chromedriver: chromedriver }
    }

    pub async fn close(self) {
        (*self.driver).clone().quit().await.unwrap();
    }

    pub async fn go(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.unwrap();
    }

    /// Walks in as one of the demo's people: one click.
    pub async fn enter(&self, user: &str) {
        self.go("/signin").await;
        self.follow(&format!("//form[contains(@action, '/signin/demo')][.//*[@value='{user}']]//button")).await;
        self.see("//nav").await;
    }

    /// The same in a browser where somebody else is signed in.
    pub async fn enter_again(&self, user: &str) {
        self.driver.delete_all_cookies().await.unwrap();
        self.enter(user).await;
    }

    /// Waits for something to be there.
    pub async fn see(&self, xpath: &str) -> WebElement {
        let found =
            self.driver.query(By::XPath(xpath)).wait(Duration::from_secs(30), Duration::from_millis(50)).first().await;
        match found {
            Ok(element) => element,
            Err(_) => {
                panic!("not seen: {xpath} at {}: {}", self.driver.current_url().await.unwrap(), self.text().await)
            }
        }
    }

    pub async fn click(&self, xpath: &str) {
        self.see(xpath).await.click().await.unwrap_or_else(|error| panic!("{xpath}: {error}"));
    }

    /// Clicks what leads to another page and waits until the one that it stood on is gone: what is looked for next may stand on
    /// both, and an address asked for too early takes the place of the one that was on its way.
    pub async fn follow(&self, xpath: &str) {
        let way = self.see(xpath).await;
        let page = self.driver.find(By::Tag("html")).await.unwrap();
        way.click().await.unwrap_or_else(|error| panic!("{xpath}: {error}"));
        let clicked = Instant::now();
        while page.tag_name().await.is_ok() {
            assert!(clicked.elapsed() < Duration::from_secs(30), "leads nowhere: {xpath}: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.see(&format!("//main//*[@name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
        // What is suggested while typing lies over the fields below, until the field is left.
        self.driver.execute("document.activeElement.blur();", vec![]).await.unwrap();
    }

    pub async fn choose(&self, name: &str, value: &str) {
        self.click(&format!(
            "//main//*[@name='{name}']//option[@value='{value}'] | //main//input[@name='{name}'][@value='{value}']"
        ))
        .await;
    }

    /// A day into its three boxes.
    pub async fn day(&self, name: &str, day: chrono::NaiveDate) {
        for (part, format) in [("day", "%-d"), ("month", "%-m"), ("year", "%Y")] {
            self.fill(&format!("{name}_{part}"), &day.format(format).to_string()).await;
        }
    }

    /// The visible button of a form's way on; the first of its kind serves the Enter key and is not seen.
    pub async fn press(&self, words: &str) {
        self.follow(&format!("//main//button[normalize-space(.)='{words}'][not(contains(@class, 'vh'))]")).await;
    }

    pub async fn text(&self) -> String {
        match self.driver.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    /// The number in the address of a request's page.
    pub async fn request_number(&self) -> i64 {
        self.see("//h1").await;
        let url = self.driver.current_url().await.unwrap();
        url.path().rsplit('/').next().unwrap().parse().unwrap_or_else(|_| panic!("no request's page: {url}"))
    }
}
