// What the tools of GitOps make of an object, by the engines and types that they have themselves.
//
//	gitops verdict health.lua < object.json    the opinions of Argo CD and of Flux, as JSON
//	gitops strict < objects.json               fails at a field that the object's type lacks
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	switch {
	case len(arguments) == 2 && arguments[0] == "verdict":
		return verdict(arguments[1], content)
	case len(arguments) == 1 && arguments[0] == "strict":
		return strict(content)
	}
	return fmt.Errorf("usage: gitops verdict FILE.lua | gitops strict")
}
