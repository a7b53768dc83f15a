"""The page that `dvc plots show` and `dvc plots diff` fill, with Vega in it, for reading offline.

DVC's own page loads Vega from a CDN. The page written here holds Vega, Vega-Lite and Vega-Embed,
and its content security policy lets nothing else be loaded. .dvc/config names it
(plots.html_template) and it is committed, so a clone draws its plots without a network;
`lora-vs-api plots-page` is for changing a version or the page's look.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lora_vs_api.errors import UserError
from lora_vs_api.files import write_text
from lora_vs_api.log import say

REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True)
class Package:
    """One npm package, pinned.

    ``sha512`` is the registry's integrity of the tarball, in base64; ``script`` is the file of it
    that goes into the page, None where only the licence is wanted.
    """

    name: str
    version: str
    sha512: str
    script: str | None = None

    @property
    def url(self) -> str:
        return f"{REGISTRY}/{self.name}/-/{self.name}-{self.version}.tgz"


# The newest of the majors that DVC's page loads (vega 5, vega-lite 5, vega-embed 6): the
# templates are Vega-Lite 5, and so are the templates that come with DVC.
LIBRARIES = (
    Package(
        "vega",
        "5.33.1",
        "1fArfVDUqVbb5z8n+/nVQb+VNBzx8svY6CrsyTK4Ujm4yrd9I1auoKxBAPXLCavY1LcrbHUskQbGUP8gXOzyQw==",
        "build/vega.min.js",
    ),
    Package(
        "vega-lite",
        "5.23.0",
        "l4J6+AWE3DIjvovEoHl2LdtCUkfm4zs8Xxx7INwZEAv+XVb6kR6vIN1gt3t2gN2gs/y4DYTs/RPoTeYAuEg6mA==",
        "build/vega-lite.min.js",
    ),
    Package(
        "vega-embed",
        "6.29.0",
        "PmlshTLtLFLgWtF/b23T1OwX53AugJ9RZ3qPE2c01VFAbgt3/GSNI/etzA/GzdrkceXFma+FDHNXUppKuM0U6Q==",
        "build/vega-embed.min.js",
    ),
)
# What the three files above have in them from other authors, wanted for its licence.
BUNDLED = (
    Package(
        "d3-array",
        "3.2.5",
        "Th8qGXoBalmWsstpkuhmBuTsBQIFqYOJtjlBvNVvBfJ8E3uYusBUwUR8HU20U0qKKQkgCvKyR1YjiozWadk5QA==",
    ),
    Package(
        "d3-color",
        "3.1.1",
        "lfab8x0Bj0UO7SNsY8dZSbNIA6ipbkE3X0NG9nqjCu6CfCHZseuDnOSJY7hidKrjpP++i1M2qT+FlAdPKYRilA==",
    ),
    Package(
        "d3-delaunay",
        "6.0.6",
        "DMQIEvSJhZCB6pwedcXaAlQ+MeKU5LlM2XakKtc73b/VM+RBiI1SRXycOEOKg2jsKj4zZ9F0KGYG6nCGwwWu/g==",
    ),
    Package(
        "d3-dispatch",
        "3.0.2",
        "sAzH4Y4nsLo8eSqw5jKiZt+LU2wZmL/qS+OkxQGjhwazB/D7TY34R/QK1eshfGr7cZEKymKZ/Haem7m+lu98Sg==",
    ),
    Package(
        "d3-dsv",
        "3.0.2",
        "FUnXhX7I4/AXyRCZzwfZTDGSq8PGZ4oR0tiCBqNGOZMsDrQ+6sIWNQnBzcCGhzJKZ6uCvCezTwflUqI209RRiQ==",
    ),
    Package(
        "d3-force",
        "3.0.1",
        "kAaaHLFebBYwgi5cYBXAI8vKrQFMCD2MEswj2QuPKKbdU1wYLc8WXtS7O8F/b6POCIe3gJjY6hkDstHi1yMETQ==",
    ),
    Package(
        "d3-format",
        "3.1.3",
        "+F+/49swqmGuQJmSKnVMIDH/QkEFV5li9QRj0xm/KhyAUBv099O5PrvpQFxBp24PYph17Mnvt9mjKQV0ii0nMA==",
    ),
    Package(
        "d3-geo",
        "3.1.2",
        "5R8ZgDQorIxmauv7R6gpE/ndz+Z0qAZssigq0aXFdvPHdY41RqtW02jrRUQAL724NdPABYXo1+gQEGBBr7uKNg==",
    ),
    Package(
        "d3-geo-projection",
        "4.0.0",
        "p0bK60CEzph1iqmnxut7d/1kyTmm3UWtPlwdkM31AU+LW+BXazd5zJdoCn7VFxNCHXRngPHRnsNn5uGjLRGndg==",
    ),
    Package(
        "d3-hierarchy",
        "3.1.3",
        "GRajN5ZcnEwYFWqqdzhG1qJ3+fDg6WWzk47TJg7ePY7yvYAgRfD2r1mUx+wviBOWuCwamCUzjwMSdato43jbGA==",
    ),
    Package(
        "d3-interpolate",
        "3.0.2",
        "IRzGU62DtxhvsnSTWMQIdnoZ6gA+BCWwBon1EJI6SjoN595799b6z/QRBzXfFhE8iupUPp3042yBNo0STPqnzQ==",
    ),
    Package(
        "d3-path",
        "3.1.1",
        "jsbgV8zIT38ReB9O7X7gcLndTQRONSqNNd+oGIaTBdUug4r5jFmp0N6RY9R5GWbdUDucn0qoTGyfjapT4tDhcg==",
    ),
    Package(
        "d3-quadtree",
        "3.0.2",
        "9Lu9mqJKRbIk0d6mKDjpvPURaPdwHVK5CYbcdd0/4vBgz4ldz/7TIOse3kNERsByGNfld58KEco507AztJWyTQ==",
    ),
    Package(
        "d3-scale",
        "4.0.3",
        "66cWobCNzcMvlfoaDHCxuIv9TBUWG1BLOWdv9kHHFuCr1JdqAWPvTmsaEYDD5NRMyWZ5+7u0GqiCDfMXMqh3hg==",
    ),
    Package(
        "d3-scale-chromatic",
        "3.1.1",
        "lA5gfN2yMvmChubmptnDiBfeGpHD7Yb1EbvCz0TZE0WHXhyR6W2allPuhKtzV5ILQRqeOdefF0qYtERReLUBDg==",
    ),
    Package(
        "d3-shape",
        "3.2.1",
        "dm2o+lbKdzg9tY7GEag/dB9hcbodLfwkE/DkvqbELJXaMz0yKzWWhZqhbI7CKubukA7HnRyz0avdtvi7EPxPvw==",
    ),
    Package(
        "d3-time",
        "3.1.1",
        "Ze7rjrhMzdeulh0/hjcfFj7XLAHOfowtEMfsoG6DU866HPynQNW7Wfen6hzXcqKTv8XzxvF6Hzr5XD6bMHr2ug==",
    ),
    Package(
        "d3-time-format",
        "4.1.1",
        "22XaqjyCjpqgda20erhsOjGmC3vvYwTNYniKAd45W5UWLDF43moeOuV9qYpRqobIlsnK0UhnKZjUUJm3VgORUA==",
    ),
    Package(
        "d3-timer",
        "3.0.2",
        "1Il1aliroVSErrv5aulRBxAY+7+DnaoLIWGd1C6SsBTWDeobWiP/V69vwb8vT6abR1kKwaNe1196pmaQ1fK90A==",
    ),
    Package(
        "delaunator",
        "5.1.0",
        "AGrQ4QSgssa1NGmWmLPqN5NY2KajF5MqxetNEO+o0n3ZwZZeTmt7bBnvzHWrmkZFxGgr4HdyFgelzgi06otLuQ==",
    ),
    Package(
        "fast-json-patch",
        "3.1.1",
        "vf6IHUX2SBcA+5/+4883dsIjpBTqmfBjmYiWK1savxQmFk4JfBMLa7ynTYOs1Rolp/T1betJxHiGD3g1Mn8lUQ==",
    ),
    Package(
        "internmap",
        "2.0.3",
        "5Hh7Y1wQbvY5ooGgPbDaL5iYLAPzMTUrjMulskHLH6wnv/A+1q5rgEaiuqEjB+oxGXIVZs1FF+R/KPN3ZSQYYg==",
    ),
    Package(
        "json-stringify-pretty-compact",
        "4.0.0",
        "3CNZ2DnrpByG9Nqj6Xo8vqbjT4F6N+tb4Gb28ESAZjYZ5yqvmc56J+/kuIwkaAMOyblTQhUW7PxMkUb8Q36N3Q==",
    ),
    Package(
        "robust-predicates",
        "3.0.3",
        "NS3levdsRIUOmiJ8FZWCP7LG3QpJyrs/TE0Zpf1yvZu8cAJJ6QMW92H1c7kWpdIHo8RvmLxN/o2JXTKHp74lUA==",
    ),
    Package(
        "semver",
        "7.8.6",
        "9lpSSU4Mly3mrtruwLs1eLK6+gzbzqeBFwRNjIjE+9LuDpWdYctrQlQ3ej1Ilgi7gknpsTRnPoLP8DpCHqHIJw==",
    ),
    Package(
        "topojson-client",
        "3.1.0",
        "605uxS6bcYxGXw9qi62XyrV6Q3xwbndjachmNxu8HWTtVPxZfEJN9fd/SZS1Q54Sn2y0TMyMxFj/cJINqGHrKw==",
    ),
    Package(
        "vega-schema-url-parser",
        "2.2.0",
        "yAtdBnfYOhECv9YC70H2gEiqfIbVkq09aaE4y/9V/ovEFmH9gPKaEgzIZqgT7PSPQjKhsNkb6jk6XvSoboxOBw==",
    ),
    Package(
        "vega-themes",
        "2.15.0",
        "DicRAKG9z+23A+rH/3w3QjJvKnlGhSbbUXGjBvYGseZ1lvj9KQ0BXZ2NS/+MKns59LNpFNHGi9us/wMlci4TOA==",
    ),
    Package(
        "vega-tooltip",
        "0.35.2",
        "kuYcsAAKYn39ye5wKf2fq1BAxVcjoz0alvKp/G+7BWfIb94J0PHmwrJ5+okGefeStZnbXxINZEOKo7INHaj9GA==",
    ),
)

# {refresh_tag} and {plot_divs} are DVC's. Its {scripts} is left out on purpose: the script tags
# that DVC would put there load Vega from a CDN.
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src 'self' file: data: blob:; connect-src 'none'; base-uri 'none'; form-action 'none'">
{refresh_tag}
<title>DVC plots</title>
<!-- Written by lora-vs-api plots-page: change it there.

@LICENSES@
-->
<style>
:root { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 110rem;
  background: #f6f8fa; color: #1f2328;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
header p { margin: 0 0 1.2rem; color: #59636e; max-width: 60rem; }
main { display: grid; gap: 1rem; align-items: start; grid-template-columns: repeat(auto-fill, minmax(min(100%, 48rem), 1fr)); }
main > div {
  min-width: 0; padding: 1rem; overflow-x: auto;
  background: #fff; border: 1px solid #d1d9e0; border-radius: 6px;
}
main > div.wide { grid-column: 1 / -1; }
main > .vega-embed { display: block; }
.vega-embed details { opacity: .6; }
main table { border-collapse: collapse; font-size: .88rem; }
main th, main td { padding: .3rem .6rem; border-bottom: 1px solid #d1d9e0; text-align: left; }
.plot-empty { color: #59636e; }
.plot-error { color: #a40e26; }
@media print { body { background: #fff; padding: 0; } main { display: block; } main > div { break-inside: avoid; border: 0; } .vega-embed details { display: none; } }
</style>
@SCRIPTS@
<script>
"use strict";
// DVC calls vegaEmbed('#id', spec) for each plot. What it leaves to chance is settled here: the
// look, a menu that only exports (the rest of it needs a network), and a word in the place of a
// plot that has no data or cannot be drawn.
(() => {
  const draw = window.vegaEmbed;
  const options = {
    renderer: "svg",
    actions: { export: true, source: false, compiled: false, editor: false },
    config: {
      font: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
      axis: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal", gridColor: "#e4e4e4", domainColor: "#999", tickColor: "#999" },
      legend: { labelFontSize: 11, titleFontSize: 11 },
      header: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" },
      title: { fontSize: 15, offset: 14 },
      view: { stroke: "#d1d9e0" },
    },
  };
  const say = (place, kind, text) => {
    const line = document.createElement("p");
    line.className = kind;
    line.textContent = `${place.id.replaceAll("_", " ")}: ${text}`;
    place.replaceChildren(line);
  };
  window.vegaEmbed = async (target, spec) => {
    const place = document.querySelector(target);
    if (Object.keys(spec).length === 0) {
      say(place, "plot-empty", "no data in these revisions");
      return;
    }
    try {
      const drawn = await draw(place, spec, options);
      place.classList.toggle("wide", place.scrollWidth > place.clientWidth);
      return drawn;
    } catch (error) {
      say(place, "plot-error", `cannot be drawn: ${error.message}`);
    }
  };
})();
</script>
</head>
<body>
<header>
<h1>DVC plots</h1>
<p>A condition has one colour and one shape in all plots. The first revision is filled or drawn thin,
another hollow, wide and pale around it, or beside it, so that equal ones show both. Point at a mark
for its numbers; the ⋯ menu of a plot saves it as SVG or PNG.</p>
</header>
<main>
{plot_divs}
</main>
</body>
</html>
"""


def page(registry_files: dict[str, tuple[str | None, str | None]]) -> str:
    """The page's text, from what :func:`fetch` gave for each package's name.

    Raises:
        UserError: a package's text that would be taken for markup or for DVC's placeholder.
    """
    scripts = "\n".join(
        f"<script>\n// {package.name} {package.version}\n{inline_script(script)}\n</script>"
        for package in LIBRARIES
        if (script := registry_files[package.name][0]) is not None
    )
    notices = licenses({name: text for name, (_, text) in registry_files.items()})
    if re.search(r"<!--|--!?>", notices):
        raise UserError("a licence text holds the end of an HTML comment; keep it elsewhere")
    filled = TEMPLATE.replace("@LICENSES@", notices).replace("@SCRIPTS@", scripts)
    # DVC replaces its placeholders wherever they stand, in a library's text too
    for placeholder, times in {"{plot_divs}": 1, "{refresh_tag}": 1, "{scripts}": 0}.items():
        if filled.count(placeholder) != times:
            raise UserError(f"the page holds {placeholder} {filled.count(placeholder)} times")
    return filled


def inline_script(code: str) -> str:
    """``code`` as it can stand in a <script> element: nothing in it ends or comments that out."""
    return re.sub(r"<(?=/script|!--)", r"<\\", code.strip(), flags=re.IGNORECASE)


def licenses(texts: dict[str, str | None]) -> str:
    """One notice per distinct licence text, each with the packages under it."""
    versions = {package.name: package.version for package in LIBRARIES + BUNDLED}
    under: dict[str, list[str]] = {}
    for name, text in texts.items():
        if text is not None:
            under.setdefault(text.strip(), []).append(f"{name} {versions[name]}")
    return "\n\n".join(f"== {', '.join(names)}\n\n{text}" for text, names in under.items())


def fetch(package: Package) -> tuple[str | None, str | None]:
    """The package's script and licence text, from its tarball in the registry.

    Raises:
        UserError: no network, a tarball that is not the pinned one, or no such file in it.
    """
    try:
        with urllib.request.urlopen(package.url, timeout=60) as response:
            tarball = response.read()
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(f"{package.url}: {reason}; this command needs the network") from None
    return unpack(package, tarball)


def unpack(package: Package, tarball: bytes) -> tuple[str | None, str | None]:
    """Check ``tarball`` against the pin and take out what :func:`fetch` returns.

    Raises:
        UserError: a tarball that is not the pinned one, or no such file in it.
    """
    found = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    if found != package.sha512:
        raise UserError(f"{package.url}: expected sha512-{package.sha512}, found sha512-{found}")
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        files = {name.partition("/")[2]: name for name in archive.getnames()}
        license_file = next((file for file in ("LICENSE", "LICENSE.txt") if file in files), None)

        def text(file: str | None) -> str | None:
            if file is None:
                return None
            if file not in files or (stream := archive.extractfile(files[file])) is None:
                raise UserError(f"{package.url}: no {file} in it")
            return stream.read().decode("utf-8")

        return text(package.script), text(license_file)


def write_page(out: Path) -> None:
    """Fetch the pinned packages and write the page with them in it.

    Raises:
        UserError: no network, or a package that is not the pinned one.
    """
    files = {package.name: fetch(package) for package in LIBRARIES + BUNDLED}
    write_text(out, page(files))
    say(f"{out}: " + ", ".join(f"{p.name} {p.version}" for p in LIBRARIES))
