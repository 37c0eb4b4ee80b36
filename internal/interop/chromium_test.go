package interop

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page loads MQTT.js as web pages do, and gives its commands to the driver that Node has too.
const page = `<!doctype html>
<meta charset="utf-8">
<title>MQTT.js</title>
<script src="/mqtt.js"></script>
<script type="module">
import { driver } from '/driver.mjs'
const Buffer = { from: bytes => bytes }
window.command = driver(mqtt, Buffer, what => window.report(JSON.stringify(what)))
window.ready = true
</script>`

// startChromium opens the page in a browser of its own.
func startChromium(t *testing.T) *host {
	t.Helper()
	const script = "node_modules/mqtt/dist/mqtt.min.js"
	if _, err := os.Stat(script); err != nil {
		t.Fatalf("%v: run .ci/deps to install it", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page))
	})
	mux.HandleFunc("GET /mqtt.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, script) })
	mux.HandleFunc("GET /driver.mjs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		http.ServeFile(w, r, "driver.mjs")
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)

	allocator, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
	)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	h := &host{tell: func(line []byte) error {
		return chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("void command("+string(line)+")"))
	}}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventBindingCalled:
			if err := h.handle([]byte(e.Payload)); err != nil {
				t.Errorf("Chromium: %v", err)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("Chromium: %v", e.ExceptionDetails)
		}
	})
	if err != nil {
		t.Fatalf("start Chromium: %v: run .ci/deps to install it", err)
	}
	if _, err := chromedp.Call(ctx, runtime.AddBinding, runtime.AddBindingParams{Name: "report"}); err != nil {
		t.Fatal(err)
	}
	must(t, chromedp.Do(ctx, chromedp.Navigate(web.URL)))
	_, err = chromedp.Run(ctx, chromedp.Poll[bool]("window.ready"))
	must(t, err)
	return h
}
