package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is set by the linker in builds by the Makefile and by this package; otherwise the module's version is used.
var Version string

// VersionString returns the versions of MoE and Go, and the platform.
func VersionString() string {
	v := Version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
		for _, m := range info.Deps {
			if m.Path == Module && m.Replace == nil {
				v = m.Version
			}
		}
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	return fmt.Sprintf("%s (%s %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
