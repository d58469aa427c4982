"""Cmdlets that only the lab has, to try the wire with: every stream, and what a parameter's value became."""

import datetime

from engine import cmdlet
from wsman import reveal

SAMPLE = "Grüße, Nguyễn 李 😀 _x0041_ \t\x01 end"


@cmdlet("Test-TenureStreams")
def streams(c):
    count = c.get("Count", 3)
    c.streams.append(("verbose", (f"verbose: {SAMPLE}",), {}))
    c.streams.append(("debug", (f"debug: {SAMPLE}",), {}))
    c.streams.append(("warning", (f"warning: {SAMPLE}",), {}))
    c.streams.append(("information", (f"information: {SAMPLE}", "Test-TenureStreams"), {"tags": ["lab"]}))
    for index in range(count):
        if index % 10 == 0:
            c.streams.append(("progress", (f"Streaming {SAMPLE}", 1, f"{index} of {count}"), {"percent_complete": index * 100 // max(1, count)}))
    for index in range(count):
        c.out({"__types": ["Tenure.Lab.Sample", "System.Object"], "Number": index, "Text": SAMPLE, "Flag": index % 2 == 0, "Nothing": None,
               "When": datetime.datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=datetime.timezone.utc), "Big": 2**40 + index, "Many": ["a", "ß", ""]})


@cmdlet("Test-TenureEcho")
def echo(c):
    for name in ("Text", "Secret"):
        if c.has(name):
            value = c.get(name)
            text = reveal(value) if name == "Secret" else str(value)
            c.out({"__types": ["Tenure.Lab.Echo", "System.Object"], "Parameter": name, "Utf16": text.encode("utf-16-le", "surrogatepass").hex(),
                   "Utf8": text.encode("utf-8", "surrogatepass").hex(), "Length": len(text.encode("utf-16-le", "surrogatepass")) // 2})
    if c.has("Items"):
        c.out({"__types": ["Tenure.Lab.Echo", "System.Object"], "Parameter": "Items", "Items": [str(one) for one in c.get("Items")]})
    if c.has("Number"):
        c.out({"__types": ["Tenure.Lab.Echo", "System.Object"], "Parameter": "Number", "Number": c.get("Number")})
