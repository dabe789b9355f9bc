// Package process starts, recognises and stops the long-lived processes of a cluster. They outlive the program that
// started them; a record on disk says which process is meant, and survives reuse of its number by the kernel.
package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// OwnerVariable is in the environment of every process we start, and inherited by what they start on the host (not
// by containers), so that none can be lost, whatever became of the records.
const OwnerVariable = "DEVCLUSTER_OWNER"

const (
	signalGrace  = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Spec says what to run.
type Spec struct {
	Name    string   // component name, also the process's own argv[0]
	Program string   // path of the executable
	Args    []string // without argv[0]
	Env     []string
	Files   []string // configuration it reads when it starts
}

// record is what is kept on disk about a running process.
type record struct {
	PID        int      `json:"pid"`
	StartTicks uint64   `json:"startTicks"` // since boot, from /proc: tells apart two processes of one number
	Args       []string `json:"args"`
	Files      string   `json:"files"` // digest of the configuration it was started with
}

// Keeper knows the processes of one cluster by their records in Dir, and writes their logs to LogDir.
type Keeper struct {
	Dir    string
	LogDir string
	Owner  string // value of OwnerVariable
}

// LogFile is where the output of the component called name goes.
func (k Keeper) LogFile(name string) string { return filepath.Join(k.LogDir, name+".log") }

// PID returns the process number of the component called name, or 0 if it does not run.
func (k Keeper) PID(name string) int {
	kept, err := k.read(name)
	if err != nil {
		return 0
	}
	if ticks, err := startTicks(kept.PID); err != nil || ticks != kept.StartTicks {
		return 0
	}
	return kept.PID
}

// RunsAs says whether the component runs with exactly these arguments and this configuration.
func (k Keeper) RunsAs(spec Spec) bool {
	kept, err := k.read(spec.Name)
	return err == nil && k.PID(spec.Name) != 0 && slices.Equal(kept.Args, spec.Args) &&
		kept.Files == filesDigest(spec.Files)
}

// Start runs spec in a session of its own, so that it outlives the terminal and the caller.
func (k Keeper) Start(spec Spec) error {
	for _, dir := range []string{k.Dir, k.LogDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	log, err := os.Create(k.LogFile(spec.Name))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(spec.Program)
	command.Args = append([]string{spec.Name}, spec.Args...)
	command.Env = append(slices.Clone(spec.Env), OwnerVariable+"="+k.Owner)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	// Reaps it if it ends while we are still here: an exited child would look alive for as long as nobody waits.
	go func() { _ = command.Wait() }()
	ticks, err := startTicks(command.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s ended at once, see %s", spec.Name, k.LogFile(spec.Name))
	}
	text, err := json.Marshal(record{
		PID: command.Process.Pid, StartTicks: ticks, Args: spec.Args, Files: filesDigest(spec.Files),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(k.path(spec.Name), text, 0o644)
}

// Stop ends the component: SIGTERM, and SIGKILL when it has not gone after a while. A component that does not run is
// no error.
func (k Keeper) Stop(name string) error {
	if pid := k.PID(name); pid != 0 {
		if err := terminate(pid, signalGrace); err != nil {
			return fmt.Errorf("stop %s (process %d): %w", name, pid, err)
		}
	}
	if err := os.Remove(k.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// KillStrays ends every process that carries our owner mark, recorded or not, and returns how many there were.
func (k Keeper) KillStrays() int {
	mark := []byte(OwnerVariable + "=" + k.Owner)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	count := 0
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environment, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil || !slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(variable []byte) bool {
			return bytes.Equal(variable, mark)
		}) {
			continue
		}
		if terminate(pid, 0) == nil {
			count++
		}
	}
	return count
}

// Tail returns the last lines of the component's log.
func (k Keeper) Tail(name string, lines int) string {
	text, err := os.ReadFile(k.LogFile(name))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (k Keeper) path(name string) string { return filepath.Join(k.Dir, name+".json") }

func (k Keeper) read(name string) (record, error) {
	var kept record
	text, err := os.ReadFile(k.path(name))
	if err != nil {
		return kept, err
	}
	return kept, json.Unmarshal(text, &kept)
}

func filesDigest(files []string) string {
	all := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		fmt.Fprintf(all, "%s %d %v\n", file, len(content), err)
		all.Write(content)
	}
	return fmt.Sprintf("%x", all.Sum(nil))
}

// terminate signals pid and waits until it is gone; with no grace it is killed at once.
func terminate(pid int, grace time.Duration) error {
	signal := syscall.SIGTERM
	if grace == 0 {
		signal = syscall.SIGKILL
	}
	ticks, err := startTicks(pid)
	if err != nil {
		return nil
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	deadline := time.Now().Add(max(grace, 2*time.Second))
	for time.Now().Before(deadline) {
		if now, err := startTicks(pid); err != nil || now != ticks {
			return nil
		}
		time.Sleep(pollInterval)
	}
	if grace == 0 {
		return errors.New("survived SIGKILL")
	}
	return terminate(pid, 0)
}

// startTicks returns when pid was started, in clock ticks since boot; an error if it is gone or a zombie.
func startTicks(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
