//! How is a page watched? Headless Chromium, steered through `tests/browser/driver.mjs`, one command at a time.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::process::Process;
use crate::{PATIENCE, for_people, root};

/// A browser, with one page at first.
pub struct Browser {
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    process: Process,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// Two browsers that decode at the same time are too much for a small machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Browser {
    /// A browser that lets pages play sound without a gesture.
    pub async fn start() -> Self {
        Self::with_flags(&["--autoplay-policy=no-user-gesture-required"]).await
    }

    /// A browser with one window, a tab for each page: those behind another one are hidden, and slowed down as with people.
    pub async fn with_tabs() -> Self {
        Self::launch(TABBED, &["--tabs", "--autoplay-policy=no-user-gesture-required"]).await
    }

    /// A browser with these flags.
    pub async fn with_flags(flags: &[&str]) -> Self {
        Self::launch(chromium(), flags).await
    }

    async fn launch(program: &str, flags: &[&str]) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let folder = root().join("tests/browser");
        assert!(folder.join("node_modules").is_dir(), "the browser's packages are missing: run scripts/setup-tests");
        let mut command = Command::new("node");
        command.current_dir(folder).arg("driver.mjs").arg(program).args(flags);
        let mut process = Process::start("the browser", command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let commands = Some(process.stdin());
        let answers = BufReader::new(process.stdout());
        let mut browser = Self { commands, answers, process, _turn: turn };
        browser.hear();
        browser
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        self.ask(json!({"do": "open", "url": url}));
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, js: &str) -> Value {
        self.ask(json!({"do": "eval", "js": js}))
    }

    /// The value of an expression as soon as it is truthy.
    ///
    /// # Panics
    /// When that takes too long; says what the page's state was.
    pub fn wait(&mut self, js: &str) -> Value {
        self.wait_for(js, PATIENCE)
    }

    /// The same with another limit.
    pub fn wait_for(&mut self, js: &str, limit: Duration) -> Value {
        match self.try_ask(&json!({"do": "wait", "js": js, "ms": limit.as_millis() as u64})) {
            Ok(value) => value,
            Err(error) => {
                let state = self.try_ask(&json!({"do": "eval", "js": "window.trellis?.state() ?? window.seen"}));
                let stats = self.try_ask(&json!({"do": "eval", "js": "window.trellis?.stats?.()"}));
                let complaints = self.try_ask(&json!({"do": "complaints"}));
                self.screenshot("failed.png");
                panic!("never `{js}`: {error}\nthe page: {state:?}\nits bytes: {stats:?}\ncomplaints: {complaints:?}");
            }
        }
    }

    /// Where the watch page's bytes came from (web/README.md).
    pub fn stats(&mut self) -> Value {
        self.eval("window.trellis.stats()")
    }

    /// What the watch page says of itself (web/README.md).
    pub fn state(&mut self) -> Value {
        self.eval("window.trellis.state()")
    }

    /// Presses something.
    pub fn click(&mut self, selector: &str) {
        self.ask(json!({"do": "click", "selector": selector}));
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        self.ask(json!({"do": "press", "key": key}));
    }

    /// Moves the mouse over something.
    pub fn hover(&mut self, selector: &str) {
        self.ask(json!({"do": "hover", "selector": selector}));
    }

    /// A picture for people, in `target/e2e`.
    pub fn screenshot(&mut self, name: &str) {
        let _ = self.try_ask(&json!({"do": "screenshot", "path": for_people(name)}));
    }

    /// One more page, a viewer of its own, which all is about from then on; its number, the first being 0. `init` runs before
    /// the page's own scripts, and what `block` matches is not found.
    pub fn another(&mut self, init: &str, block: &str) -> u64 {
        self.ask(json!({"do": "another", "init": init, "block": block})).as_u64().expect("a number")
    }

    /// All is about this page from now on.
    pub fn turn(&mut self, page: u64) {
        self.ask(json!({"do": "turn", "to": page}));
    }

    /// Brings the page to the front of its window.
    pub fn front(&mut self) {
        self.ask(json!({"do": "front"}));
    }

    /// Closes the page, as its viewer would.
    pub fn close(&mut self) {
        self.ask(json!({"do": "close"}));
    }

    /// What console, scripts and requests complained of.
    pub fn complaints(&mut self) -> Vec<String> {
        let list = self.ask(json!({"do": "complaints"}));
        list.as_array().into_iter().flatten().map(|line| line.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The URL of a page of somebody else's with unmodified hls.js.
    pub fn plain_page(&mut self, hls: &str) -> String {
        let page = self.ask(json!({"do": "plain"}));
        let escaped: String = hls.bytes().map(|b| format!("%{b:02x}")).collect();
        format!("{}?{escaped}", page.as_str().expect("a URL"))
    }

    /// The URL of a page of somebody else's that embeds `watch` by the line of the README.
    pub fn embedding_page(&mut self, watch: &str) -> String {
        self.plain_page(watch).replace("/?", "/embed?")
    }

    /// Waits until an expression is truthy inside the page's frame.
    pub fn wait_in_frame(&mut self, js: &str) {
        self.ask(json!({"do": "frame", "js": js, "ms": PATIENCE.as_millis() as u64}));
    }

    fn ask(&mut self, command: Value) -> Value {
        self.try_ask(&command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_ask(&mut self, command: &Value) -> Result<Value, String> {
        let pipe = self.commands.as_mut().expect("open until dropped");
        writeln!(pipe, "{command}").and_then(|()| pipe.flush()).map_err(|error| error.to_string())?;
        let mut answer = self.hear();
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        assert!(read.is_ok_and(|bytes| bytes > 0), "the browser is gone: {}", self.process.said());
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the driver said: {line}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With its commands at an end the driver closes the browser, which leaves no process behind.
        self.commands = None;
        self.process.grace(Duration::from_secs(5));
    }
}

/// The one with windows and tabs, though headless: the other one cannot hide a page.
const TABBED: &str = "/usr/bin/chromium";

/// Debian names it so; `scripts/setup-tests` installs it.
fn chromium() -> &'static str {
    let names = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
    names.into_iter().find(|path| std::path::Path::new(path).exists()).expect("no Chromium: run scripts/setup-tests")
}
