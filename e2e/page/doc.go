// Package page drives the page of `moe run --ui` in a headless Chromium: on wide and narrow screens, in light and dark, by
// keyboard. `make page` runs it, and writes the pictures of docs/page.md.
package page
