package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine takes from the calling thread, and so from what it will start, everything that was not granted. The caller has
// locked its goroutine to the thread and never gives it back. What this kernel cannot do is in the report.
//
// namespaces says that the set will be started in namespaces of its own.
func confine(binary *image, own folder, granted grant, namespaces bool) (SandboxReport, error) {
	var report SandboxReport
	// Needed before an ordinary user may confine a thread, and good in itself: no set-user-id program regains a power.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return report, fmt.Errorf("give up new privileges: %w", err)
	}
	report.enforce("environment: empty; privileges: none can be gained")
	if err := confineFiles(binary, own, granted, &report); err != nil {
		return report, fmt.Errorf("confine its files: %w", err)
	}
	executed := binary.executed()
	if !namespaces {
		report.miss("processes: this system lets you make no process namespaces, so only its process group is killed with a set: " +
			"a hostile one could leave a process behind")
		if err := giveUpPowers(); err != nil {
			return report, fmt.Errorf("give up root's powers: %w", err)
		}
	}
	// Without a namespace the very call that starts the set is one that starts a process.
	if err := confineCalls(granted, !namespaces || executed.linked || granted.history != "", &report); err != nil {
		return report, fmt.Errorf("confine its system calls: %w", err)
	}
	return report, nil
}

// giveUpPowers takes root's powers from the thread, for a set that gets no user namespace, where it would have none.
func giveUpPowers() error {
	none := [2]unix.CapUserData{}
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}

// The rights that Landlock knows, in the order of the versions (ABI) that brought them: linux/landlock.h.
const (
	readFiles   = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	changeFiles = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	version1 = readFiles | changeFiles | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// onlyForFiles are the rights that a rule about a single file may name.
const onlyForFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE

// systemLibraries is what a program needs that is not linked statically.
var systemLibraries = []string{"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/openssl.cnf"}

// networkFiles is what finding and trusting a network host needs.
var networkFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/ssl", "/etc/pki", "/usr/share/ca-certificates"}

// confineFiles leaves the thread its own folders and what was granted, by Landlock.
func confineFiles(binary *image, own folder, granted grant, report *SandboxReport) error {
	version, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		report.miss("files: this kernel has no Landlock, so a set can read what you can read")
		return nil
	}
	attributes := unix.LandlockRulesetAttr{Handled_access_fs: version1}
	if version >= 2 {
		attributes.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		attributes.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		attributes.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		attributes.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		attributes.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	// An older kernel takes the longer structure of a newer one as long as what it does not know is zero.
	created, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0)
	if errno != 0 {
		return errno
	}
	rules := ruleset{fd: int(created), handled: attributes.Handled_access_fs}
	defer unix.Close(rules.fd)

	const everything = readFiles | changeFiles | unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	rules.mustAllow(own.in, readFiles)
	for _, dir := range []string{own.work, own.scratch} {
		rules.mustAllow(dir, everything)
	}
	// A set may listen on a socket of its own, as go-plugin's sets do, which first make a file of that name. But the host connects to
	// what lies there, so that no link to another's socket may.
	rules.mustAllow(own.sockets, readFiles|unix.LANDLOCK_ACCESS_FS_WRITE_FILE|unix.LANDLOCK_ACCESS_FS_REMOVE_FILE|
		unix.LANDLOCK_ACCESS_FS_MAKE_REG|unix.LANDLOCK_ACCESS_FS_MAKE_SOCK)
	rules.mayAllow("/dev/null", unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_WRITE_FILE)
	rules.mayAllow("/dev/urandom", unix.LANDLOCK_ACCESS_FS_READ_FILE)
	executed := binary.executed()
	for _, image := range []*image{binary, executed} {
		if image.folder != "" {
			rules.mustAllow(image.path, unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_EXECUTE)
		}
	}
	if executed.linked || granted.history != "" {
		for _, path := range systemLibraries {
			rules.mayAllow(path, readFiles|unix.LANDLOCK_ACCESS_FS_EXECUTE)
		}
	}
	if granted.source != "" {
		rules.mustAllow(granted.source, readFiles)
	}
	if granted.history != "" {
		folders, err := historyFolders(granted.history)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			rules.mustAllow(folder, readFiles)
		}
		for _, folder := range gitFolders() {
			rules.mayAllow(folder, readFiles|unix.LANDLOCK_ACCESS_FS_EXECUTE)
		}
	}
	if granted.hosts != "" {
		for _, path := range networkFiles {
			rules.mayAllow(path, readFiles)
		}
	}
	if version >= 4 {
		for _, port := range ports(granted) {
			rules.allowPort(port)
		}
	}
	if rules.err != nil {
		return rules.err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules.fd), 0, 0); errno != 0 {
		return errno
	}
	report.enforce(fmt.Sprintf("files: its own folders and what was granted (Landlock %d)", version))
	reportNetwork(granted, version >= 4, report)
	if version < 6 {
		report.miss("signals: this kernel's Landlock cannot keep a set from signalling your other processes")
	}
	return nil
}

// ruleset collects Landlock rules, and the first error.
type ruleset struct {
	fd      int
	handled uint64
	err     error
}

// mustAllow grants rights beneath a path that must exist.
func (r *ruleset) mustAllow(path string, rights uint64) {
	if err := r.allow(path, rights); err != nil && r.err == nil {
		r.err = fmt.Errorf("grant %s: %w", path, err)
	}
}

// mayAllow grants rights beneath a path that some systems do not have.
func (r *ruleset) mayAllow(path string, rights uint64) {
	if err := r.allow(path, rights); err != nil && !errors.Is(err, os.ErrNotExist) && r.err == nil {
		r.err = fmt.Errorf("grant %s: %w", path, err)
	}
}

func (r *ruleset) allow(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= onlyForFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & r.handled, Parent_fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (r *ruleset) allowPort(port uint64) {
	const netPort = 2 // LANDLOCK_RULE_NET_PORT, which golang.org/x/sys does not have yet
	rule := struct{ access, port uint64 }{unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, port}
	_, _, errno := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), netPort, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 && r.err == nil {
		r.err = fmt.Errorf("grant port %d: %w", port, errno)
	}
}

// reportNetwork says what is left open to a set that was granted any of the network.
func reportNetwork(granted grant, portsAreBound bool, report *SandboxReport) {
	for _, open := range []string{granted.hosts, granted.version} {
		switch {
		case open == "":
		case portsAreBound:
			report.enforce("network: TCP to the ports of " + open + " only")
			report.miss("network: a set that was granted " + open + " may reach the same ports of other hosts: the kernel can bound ports, not hosts")
		default:
			report.miss("network: a set that was granted " + open + " may reach every host: this kernel's Landlock cannot bound TCP")
		}
	}
}

// ports returns the TCP ports of a grant. Among hosts one without a port means HTTPS, and DNS comes with any.
func ports(granted grant) []uint64 {
	var found []uint64
	hosts := strings.Split(granted.version, ",")
	if granted.hosts != "" {
		found = append(found, 53)
		hosts = append(hosts, strings.Split(granted.hosts, ",")...)
	}
	for _, host := range hosts {
		if host == "" {
			continue
		}
		port := uint64(443)
		if _, text, err := net.SplitHostPort(host); err == nil {
			if number, err := strconv.ParseUint(text, 10, 16); err == nil {
				port = number
			}
		}
		found = append(found, port)
	}
	return found
}
