package page

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait; what is waited for comes in a moment on an idle machine.
const patience = time.Minute

// browser is a headless Chromium with one page, driven by the DevTools protocol over pipes: messages of JSON that end with
// a zero.
type browser struct {
	t       *testing.T
	in      io.Writer
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan answer
	wrong   []string // what the page's console says
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run scripts/install-chromium, or set CHROMIUM to the path of one", err)
	}
	inRead, in, err := os.Pipe()
	if err != nil {
		t.Fatalf("os.Pipe: %v", err)
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatalf("os.Pipe: %v", err)
	}
	// Without its sandbox, as it would not start for root; it opens nothing but the page.
	c := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	c.ExtraFiles = []*os.File{inRead, outWrite} // 3 and 4
	if err := c.Start(); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	inRead.Close()
	outWrite.Close()
	b := &browser{t: t, in: in, answers: map[int]chan answer{}}
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.read(out)
	}()
	t.Cleanup(func() {
		in.Close() // at which it ends
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Wait() // its status does not matter
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = c.Process.Kill()
			<-ended
		}
		<-over
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// read takes messages until the browser ends.
func (b *browser) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			answer
		}
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			if c := b.answers[m.ID]; c != nil {
				c <- m.answer
			}
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded":
			b.wrong = append(b.wrong, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call calls a method of the protocol, and decodes its result.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

// try is call for what may fail, as it does while the page changes.
func (b *browser) try(method string, params, result any) error {
	b.mu.Lock()
	b.next++
	id, c := b.next, make(chan answer, 1)
	b.answers[id] = c
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	b.mu.Unlock()
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	if err != nil {
		return err
	}
	select {
	case a := <-c:
		switch {
		case a.Error != nil:
			return errors.New(a.Error.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("no answer in %s", patience)
	}
}

// evaluated is what an expression of JavaScript has come to.
type evaluated struct {
	Result           struct{ Value any }
	ExceptionDetails *struct{ Text string }
}

func expression(text string) map[string]any {
	return map[string]any{"expression": text, "awaitPromise": true, "returnByValue": true}
}

// eval returns the value of an expression of JavaScript.
func (b *browser) eval(text string) any {
	b.t.Helper()
	var r evaluated
	b.call("Runtime.evaluate", expression(text), &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", text, r.ExceptionDetails.Text)
	}
	return r.Result.Value
}

// until waits for an expression to be true.
func (b *browser) until(what, text string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var r evaluated
		err := b.try("Runtime.evaluate", expression("Boolean("+text+")"), &r)
		if err == nil && r.ExceptionDetails == nil && r.Result.Value == true {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("no %s on the page (%v):\n%v", what, err, b.eval("document.body.innerText"))
		}
	}
}

// open goes to an address, and waits until the page is there.
func (b *browser) open(url string) {
	b.t.Helper()
	b.eval("window.before = true")
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until("new page", "!window.before && document.readyState === 'complete'")
}

// screen sets the width of the screen, and whether it is dark.
func (b *browser) screen(width, height int, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
	}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// key presses a key.
func (b *browser) key(name string) {
	b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13}[name]
	down := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if name == "Enter" {
		down["text"] = "\r"
	}
	b.call("Input.dispatchKeyEvent", down, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

// write types text.
func (b *browser) write(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// picture writes what is on the screen to a file.
func (b *browser) picture(file string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "optimizeForSpeed": false}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		b.t.Fatalf("write %s: %v", file, err)
	}
}

// quiet fails the test if the page's console has said something: an exception, or what the page's policy forbids.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 {
		b.t.Errorf("the console says:\n%s", strings.Join(b.wrong, "\n"))
	}
	b.wrong = nil
}
