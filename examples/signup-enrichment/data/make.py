#!/usr/bin/env python3
"""Makes the files of this folder, the same bytes on every machine, and says what must come out.

make.py locations zipcodes.csv > locations.txt       the table the function holds
make.py signups locations.txt > signups.ndjson       the input of the demo
make.py enriched locations.txt signups.ndjson        the output, by another hand than the function's
"""

import collections
import csv
import json
import sys

SIGNUPS = 12_000

# Which class of offers a place has, by the number of zip codes in its county: a stand-in for how
# densely it is built. Keep in step with `offers` in src/locations.rs.
CLASSES = [(10, "a"), (40, "b"), (120, "c"), (10**9, "d")]
OFFERS = {"a": [25], "b": [25, 100], "c": [100, 1000], "d": [100, 1000, 5000]}

FIRST = """Ada Grace Linus Edsger Barbara Donald Zoë René Ana Björn Chidi Dmitri Esperanza Farah Gustav
Hana Ibrahim Jovana Kofi Leilani Mateo Ngozi Oluwaseun Priya Quentin Rosalía Søren Tomasz Uma Valentina
Wei Ximena Yusuf Zainab""".split()
LAST = ["Lovelace", "Hopper", "O\"Brien", "D'Angelo", "García Márquez", "Nguyen", "Okafor", "Smith",
        "Kowalski", "Ødegård", "van der Berg", "Takahashi", "Haddad", "St. James", "Müller", "Li"]
PLANS = ["basic", "family", "studio", "business"]


class Numbers:
    """xorshift64*: small, and the same everywhere for ever."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        state = self.state
        state ^= state >> 12
        state = (state ^ (state << 25)) & (2**64 - 1)
        state ^= state >> 27
        self.state = state
        return ((state * 0x2545F4914F6CDD1D & (2**64 - 1)) >> 32) % limit

    def of(self, choices):
        return choices[self.below(len(choices))]


def locations(source):
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counties = collections.Counter((row["state"], row["county"]) for row in rows)
    for row in sorted(rows, key=lambda row: row["zip_code"]):
        count = counties[row["state"], row["county"]]
        offers = next(name for below, name in CLASSES if count < below)
        yield f"{row['zip_code']}{offers} {row['city']}"


def signups(table):
    with open(table, encoding="utf-8") as file:
        zips = [line[:5] for line in file]
    numbers = Numbers(0x5EED)
    for user_id in range(1, SIGNUPS + 1):
        second = user_id * 7 + numbers.below(7)
        signup = {
            "user_id": user_id,
            "name": f"{numbers.of(FIRST)} {numbers.of(LAST)}",
            "zip": "99501" if user_id == 17 else numbers.of(zips),
            "plan": numbers.of(PLANS),
            "signed_up_at": f"2026-11-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}Z",
        }
        # Half the clients escape what is not ASCII, as JSON allows.
        line = json.dumps(signup, separators=(",", ":"), ensure_ascii=numbers.below(2) == 0)
        yield MALFORMED[user_id](signup, line) if user_id in MALFORMED else line


# By line: what a careless client sends. Each ends as a dead letter with its cause.
MALFORMED = {
    1009: lambda signup, _: f"user_id={signup['user_id']}&zip={signup['zip']}",
    2718: lambda signup, line: line.replace('"user_id":2718', '"user_id":"2718"'),
    4711: lambda _, __: '{"user_id":4711,"name":"Grace Hopper","zip":"20500","plan":"s',
    5555: lambda signup, line: line.replace('"zip":"' + signup["zip"] + '",', ""),
    7777: lambda signup, line: line.replace(signup["zip"], "00000"),
    9973: lambda signup, line: line.replace('"' + signup["zip"] + '"', signup["zip"].lstrip("0")),
    11311: lambda _, line: line[:-1] + ",}",
}


def enriched(table, source):
    with open(table, encoding="utf-8") as file:
        places = {line[:5]: (line[5], line[7:].rstrip("\n")) for line in file}
    with open(source, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if number in MALFORMED:
                continue
            signup = json.loads(line)
            offers, city = places[signup["zip"]]
            row = {"user_id": signup["user_id"], "city": city, "offers": OFFERS[offers]}
            yield json.dumps(row, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    make = {"locations": locations, "signups": signups, "enriched": enriched}[sys.argv[1]]
    for made in make(*sys.argv[2:]):
        print(made)
