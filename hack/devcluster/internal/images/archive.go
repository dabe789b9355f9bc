// Package images puts container images into containerd from files.
package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
)

// image is one image of an archive: what it is called and which configuration it has, which is its identity.
type image struct {
	names  []string
	config string // sha256:…
}

// WriteSingleBinary writes an image that holds one static program at /name and runs it, as a docker archive.
func WriteSingleBinary(file, reference, name string, program []byte) error {
	var layer strings.Builder
	files := tar.NewWriter(&layer)
	if err := addFile(files, name, 0o755, program); err != nil {
		return err
	}
	if err := files.Close(); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + name}, "User": "65535:65535"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest([]byte(layer.String()))}},
	})
	if err != nil {
		return err
	}
	configName := strings.TrimPrefix(digest(config), "sha256:") + ".json"
	manifest, err := json.Marshal([]map[string]any{
		{"Config": configName, "RepoTags": []string{reference}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	output, err := os.Create(file)
	if err != nil {
		return err
	}
	defer output.Close()
	archive := tar.NewWriter(output)
	for _, member := range []struct {
		name    string
		content []byte
	}{{"layer.tar", []byte(layer.String())}, {configName, config}, {"manifest.json", manifest}} {
		if err := addFile(archive, member.name, 0o644, member.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

func addFile(archive *tar.Writer, name string, mode int64, content []byte) error {
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := archive.Write(content)
	return err
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// readArchive lists the images in a docker or OCI archive, reading its small members only.
func readArchive(file string) ([]image, error) {
	input, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer input.Close()
	const largestManifest = 1 << 20
	small := map[string][]byte{}
	archive := tar.NewReader(input)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not an image archive (docker save, buildah push docker-archive: or oci-archive:): %w", file, err)
		}
		if header.Typeflag != tar.TypeReg || header.Size > largestManifest {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		small[path.Clean(header.Name)] = content
	}
	if manifest, ok := small["manifest.json"]; ok {
		return dockerImages(manifest)
	}
	if index, ok := small["index.json"]; ok {
		return ociImages(index, small)
	}
	return nil, fmt.Errorf("%s has neither manifest.json nor index.json: it is not an image archive", file)
}

func dockerImages(manifest []byte) ([]image, error) {
	var entries []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(manifest, &entries); err != nil {
		return nil, err
	}
	var found []image
	for _, entry := range entries {
		hash := strings.TrimSuffix(path.Base(entry.Config), ".json")
		found = append(found, image{names: entry.RepoTags, config: "sha256:" + hash})
	}
	return found, nil
}

func ociImages(index []byte, blobs map[string][]byte) ([]image, error) {
	var list struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(index, &list); err != nil {
		return nil, err
	}
	var found []image
	for _, entry := range list.Manifests {
		name := entry.Annotations["io.containerd.image.name"]
		if name == "" {
			name = entry.Annotations["org.opencontainers.image.ref.name"]
		}
		config, err := configOf(blobs["blobs/"+strings.Replace(entry.Digest, ":", "/", 1)])
		if err != nil {
			return nil, err
		}
		found = append(found, image{names: []string{name}, config: config})
	}
	return found, nil
}

// configOf returns the digest of the configuration that an image manifest names, "" for a list of several platforms.
func configOf(manifest []byte) (string, error) {
	var parsed struct{ Config struct{ Digest string } }
	if err := json.Unmarshal(manifest, &parsed); err != nil {
		return "", fmt.Errorf("image manifest: %w", err)
	}
	return parsed.Config.Digest, nil
}
