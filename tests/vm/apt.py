# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""A private apt for each Debian suite, which borrows mirror, keyring and proxy from this machine's.

The machine's own package lists and sources stay untouched: only apt's state, cache and source
directories are redirected. Its apt.conf (proxies, credentials) keeps ruling. The mirror is whatever
the machine uses for its own suite; no address is written here.
"""
import re
import subprocess
from pathlib import Path

from lib import cache, die, host_suite, lock, say

# Names by which a machine may ask for its own release instead of the codename.
RELEASE_ALIASES = {"stable", "oldstable", "testing", "unstable", "sid"}


def deb822_entries(text):
    """Yield the stanzas of a .sources file as dictionaries."""
    for stanza in re.split(r"\n\s*\n", text):
        fields, last = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and last:
                fields[last] += "\n" + line
            elif ":" in line:
                last, value = line.split(":", 1)
                last = last.strip().lower()
                fields[last] = value.strip()
        if fields.get("enabled", "yes").lower() not in ("no", "false", "0"):
            yield fields


def one_line_entries(text):
    """Yield the lines of a .list file in the form of deb822_entries."""
    for line in text.splitlines():
        match = re.match(r"\s*(deb)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match:
            kind, options, uri, suite, components = match.groups()
            entry = {"types": kind, "uris": uri, "suites": suite, "components": components.strip()}
            for option in (options or "").split():
                key, _, value = option.partition("=")
                entry[key.lower()] = value
            yield entry


def host_entries():
    """All binary package sources of this machine."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix == ".sources":
            entries = deb822_entries(file.read_text())
        elif file.suffix == ".list" and file.is_file():
            entries = one_line_entries(file.read_text())
        else:
            continue
        for entry in entries:
            if "deb" in entry.get("types", "").split() and not entry.get("uris", "cdrom:").startswith("cdrom:"):
                yield entry


def archive(suffixes):
    """The machine's source for its own suite with one of these suffixes, or None."""
    wanted = {name + suffix for name in RELEASE_ALIASES | {host_suite()} for suffix in suffixes}
    for entry in host_entries():
        if "main" in entry.get("components", "").split() and wanted & set(entry.get("suites", "").split()):
            return entry
    return None


def sources(suite, types="deb"):
    """A .sources file for a suite, its updates and, if the machine has a security archive, its fixes.

    types: "deb" or "deb-src".
    """
    main = archive({""})
    if not main:
        die("the machine's apt sources name no Debian archive with the component main\n"
            "  remedy: add one to /etc/apt/sources.list.d (any mirror), for this machine's own suite")
    wanted = [(main, suite), (main, f"{suite}-updates")]
    security = archive({"-security", "/updates"})
    if security:
        wanted.append((security, f"{suite}-security"))
    stanzas = []
    for entry, name in wanted:
        fields = {"Types": types, "URIs": entry["uris"].split()[0], "Suites": name, "Components": "main"}
        fields |= {key.title(): entry[key] for key in ("signed-by", "trusted") if key in entry}
        stanzas.append("".join(f"{key}: {value}\n" for key, value in fields.items()))
    return "\n".join(stanzas)


class Apt:
    """The private apt of one suite and architecture; it believes that nothing is installed.

    It knows either binary packages or, with the types "deb-src", source packages.
    """

    def __init__(self, suite, types="deb", architecture="amd64"):
        self.suite = suite
        self.types = types
        kind = [architecture] * (architecture != "amd64") + ["sources"] * (types != "deb")
        self.dir = cache("apt", "-".join([suite, *kind]))
        for sub in ("sources.list.d", "state/lists/partial", "cache/archives/partial"):
            (self.dir / sub).mkdir(parents=True, exist_ok=True)
        (self.dir / "status").touch()
        self.sources = self.dir / "sources.list.d" / "debian.sources"
        options = {
            "Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": self.dir / "sources.list.d",
            "Dir::Etc::Preferences": "/dev/null", "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": self.dir / "state", "Dir::State::status": self.dir / "status",
            "Dir::Cache": self.dir / "cache", "APT::Architecture": architecture,
            "APT::Architectures": architecture, "APT::Sandbox::User": "", "Acquire::Languages": "none",
            # A testing suite's Release file can count as expired on a mirror that lags.
            "Acquire::Check-Valid-Until": "false",
        }
        self.options = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def update(self):
        """Fetch the package lists. False when those of the suite itself did not come.

        apt-get fails when any source is missing, yet keeps the lists of the others: a suite may
        well lack a security archive. So what counts is whether an error concerns the main list.
        """
        with lock(self.dir / "lock"):
            self.sources.write_text(sources(self.suite, self.types))
            result = subprocess.run(["apt-get", *self.options, "-qq", "--error-on=any", "update"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        concerns = re.compile(rf"/dists/{self.suite}/| {self.suite} (In)?Release")
        errors = [line for line in result.stderr.splitlines() if concerns.search(line)]
        if result.returncode == 0 or not errors:
            return bool(self.available())
        say("\n".join(errors))
        return False

    def available(self):
        """The sources of those suites whose package lists came: what mmdebstrap can be given."""
        lists = [path.name for path in (self.dir / "state" / "lists").iterdir()]

        def came(stanza):
            suite = re.search(r"Suites: (\S+)", stanza).group(1)
            return any(f"_dists_{suite}_" in name for name in lists)

        return "\n\n".join(filter(came, sources(self.suite, self.types).split("\n\n")))

    def show(self, package, *fields):
        """The wanted fields of the candidate version of a package; None when there is none."""
        text = subprocess.run(["apt-cache", *self.options, "show", "--no-all-versions", package],
                              capture_output=True, text=True).stdout
        if not text:
            return None
        record = next(deb822_entries(text.split("\n\n")[0]))
        return [record.get(field.lower(), "") for field in fields]

    def candidate(self, package):
        record = self.show(package, "Version")
        return record and record[0]

    def download(self, packages, directory):
        result = subprocess.run(["apt-get", *self.options, "-qq", "download", *packages], cwd=directory)
        if result.returncode:
            die(f"could not download {' '.join(packages)} of {self.suite}")

    def source(self, packages, directory):
        """Fetch and unpack source packages, with Debian's patches."""
        result = subprocess.run(["apt-get", *self.options, "-qq", "source", *packages], cwd=directory,
                                stdout=subprocess.DEVNULL)
        if result.returncode:
            die(f"could not get the source of {' '.join(packages)} of {self.suite}")
