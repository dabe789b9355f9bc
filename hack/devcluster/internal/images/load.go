package images

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// namespace is where the kubelet looks for images in containerd.
const namespace = "k8s.io"

// Store is the image store of the containerd that listens on Socket.
type Store struct{ Socket string }

// Load imports the images of the archive file, unless all of them are there already, byte for byte. It returns their
// names, and whether anything was imported.
func (s Store) Load(file string) (names []string, loaded bool, err error) {
	found, err := readArchive(file)
	if err != nil {
		return nil, false, err
	}
	present := true
	for _, one := range found {
		if len(one.names) == 0 || one.names[0] == "" {
			return nil, false, fmt.Errorf("%s holds an image without a name: give it one when saving (docker save NAME)", file)
		}
		names = append(names, one.names...)
		for _, name := range one.names {
			present = present && one.config != "" && s.has(name, one.config)
		}
	}
	if present {
		return names, false, nil
	}
	if _, err := s.ctr("images", "import", file); err != nil {
		return nil, false, fmt.Errorf("import %s: %w", file, err)
	}
	for _, name := range names {
		// Images that no registry can give back must not be collected as garbage.
		if _, err := s.ctr("images", "label", name, "io.cri-containerd.pinned=pinned"); err != nil {
			return nil, false, err
		}
	}
	return names, true, nil
}

// has says whether the store's image called name has the configuration config.
func (s Store) has(name, config string) bool {
	listing, err := s.ctr("images", "ls", "name=="+name)
	if err != nil {
		return false
	}
	for _, field := range strings.Fields(listing) {
		if !strings.HasPrefix(field, "sha256:") {
			continue
		}
		manifest, err := s.ctr("content", "get", field)
		if err != nil {
			return false
		}
		present, err := configOf([]byte(manifest))
		return err == nil && present == config
	}
	return false
}

func (s Store) ctr(arguments ...string) (string, error) {
	command := exec.Command("ctr", append([]string{"--address", s.Socket, "--namespace", namespace}, arguments...)...)
	var output, problem bytes.Buffer
	command.Stdout, command.Stderr = &output, &problem
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", arguments[0], err, strings.TrimSpace(problem.String()))
	}
	return output.String(), nil
}
