"""The portal as people and programs use it: pages with a cookie and the form's own fields, the API with a token.

It comes with the headers that a reverse proxy in front would pass on; nothing of the program's inside is used.
"""

import http.cookies
import json
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser


class Forms(HTMLParser):
    """Every form of a page as (action, {name: [values]}), as a browser would send it untouched; and the page's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self.words: list[str] = []
        self._select = self._area = None
        self._first = None
        self.feed(text)

    def _put(self, name: str, value: str) -> None:
        if self.forms and name:
            self.forms[-1][1].setdefault(name, []).append(value)

    def handle_starttag(self, tag: str, attributes) -> None:
        has = dict(attributes)
        if tag == "form":
            self.forms.append((has.get("action", ""), {}))
        elif tag == "input":
            boxes = has.get("type") in ("checkbox", "radio")
            if not boxes or "checked" in has:
                self._put(has.get("name", ""), has.get("value", "on" if boxes else ""))
        elif tag == "select":
            self._select, self._first = has.get("name", ""), None
        elif tag == "option" and self._select:
            value = has.get("value", "")
            if self._first is None:
                self._first = value
            if "selected" in has:
                self._put(self._select, value)
                self._first = ""
                self._select = self._select + "\0"
        elif tag == "textarea":
            self._area = (has.get("name", ""), [])

    def handle_endtag(self, tag: str) -> None:
        if tag == "select" and self._select is not None:
            if not self._select.endswith("\0") and self._first is not None:
                self._put(self._select, self._first)
            self._select = None
        elif tag == "textarea" and self._area:
            self._put(self._area[0], "".join(self._area[1]).lstrip("\n"))
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1].append(data)
        elif data.strip():
            self.words.append(data.strip())

    def form(self, action: str) -> dict[str, list[str]]:
        for known, fields in self.forms:
            if known == action:
                return {name: list(values) for name, values in fields.items()}
        raise SystemExit(f"no form for {action}; there are {[known for known, _ in self.forms]}: {' '.join(self.words)[:2000]}")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Portal:
    def __init__(self, address: str, host: str) -> None:
        self.address, self.host, self.cookies = address, host, {}
        self.opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))

    def _send(self, method: str, path: str, body: bytes | None, headers: dict) -> tuple[int, str, str]:
        headers = {"Host": self.host, "X-Forwarded-For": "192.0.2.10", "Sec-Fetch-Site": "same-origin", "Origin": f"https://{self.host}", **headers}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        request = urllib.request.Request(self.address + path, data=body, headers=headers, method=method)
        try:
            answer = self.opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        for header in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(header).items():
                self.cookies[name] = morsel.value
        return answer.status, answer.headers.get("Location") or "", answer.read().decode()

    def get(self, path: str) -> str:
        status, _, text = self._send("GET", path, None, {})
        if status != 200:
            raise SystemExit(f"GET {path}: {status}\n{' '.join(Forms(text).words)[:1500]}")
        return text

    def submit(self, page: str, action: str, changes: dict) -> str:
        """Fills in a page's form and sends it; where it leads."""
        fields = Forms(self.get(page)).form(action)
        for name, value in changes.items():
            fields[name] = value if isinstance(value, list) else [value]
        return self.post(action, fields)

    def post(self, action: str, fields: dict) -> str:
        body = urllib.parse.urlencode(fields, doseq=True).encode()
        status, location, text = self._send("POST", action, body, {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 303:
            raise SystemExit(f"POST {action}: {status}\n{' '.join(Forms(text).words)[:1500]}")
        return location

    def answer(self, action: str, fields: dict) -> str:
        """The page that answers a form by itself."""
        body = urllib.parse.urlencode(fields, doseq=True).encode()
        status, _, text = self._send("POST", action, body, {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 200:
            raise SystemExit(f"POST {action}: {status}\n{' '.join(Forms(text).words)[:1500]}")
        return text

    def sign_in(self, user: str, password: str) -> None:
        self.submit("/signin", "/signin", {"user": user, "password": password})
        self.get("/me")

    def token(self, scopes: list[str]) -> str:
        """Made on the person's own page, where it is shown once."""
        fields = Forms(self.get("/me")).form("/me/tokens")
        fields |= {"name": ["second site"], "scope": scopes, "days": ["7"]}
        text = self.answer("/me/tokens", fields)
        return text.split('id="token">')[1].split("<")[0].strip()


class Api:
    def __init__(self, address: str, host: str, token: str) -> None:
        self.address, self.host, self.token = address, host, token
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        headers = {"Host": self.host, "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/v1{path}", data=data, headers=headers, method=method)
        try:
            answer = self.opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.status, json.loads(answer.read() or b"{}")
