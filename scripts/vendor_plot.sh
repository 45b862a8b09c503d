#!/usr/bin/env bash
# Makes pipeline/reporting/page/plot.js: Observable Plot with those parts of D3 that the report's pictures need, in one file.
# To be run by hand when a version changes (it needs npm); the result is part of the project.
set -euo pipefail
plot=0.6.17 d3=7.9.2 esbuild=0.28.2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/pipeline/reporting/page
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --silent "@observablehq/plot@$plot" "d3@$d3" "esbuild@$esbuild"
echo 'export {plot, barX, barY, rectY, line, dot, ruleX, ruleY, link, text, tip, pointer} from "@observablehq/plot";' >entry.js
node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --global-name=Plot --legal-comments=none --log-level=warning \
    --banner:js="/* Observable Plot $plot and parts of D3 $d3, bundled by scripts/vendor_plot.sh; licences in plot.LICENSE.txt */" \
    --metafile=meta.json --outfile="$here/plot.js"
if grep -qi '</script' "$here/plot.js"; then echo "error: the bundle would end its own script element – $here/plot.js – look at what changed" >&2; exit 1; fi
for package in $(grep -o 'node_modules/\(@[^/"]*/\)\?[^/"]*' meta.json | sort -u); do
    printf '== %s %s\n\n' "${package#node_modules/}" "$(node -p "require('./$package/package.json').version")"
    cat "$package"/LICENSE* && echo
done >"$here/plot.LICENSE.txt"
