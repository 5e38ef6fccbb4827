# What code from a repository tries when it is hostile. Each probe that raises nothing has got through.
require "socket"

def must(worked)
  raise "held" unless worked
end

def run(*command)
  must system(*command, in: File::NULL, out: File::NULL, err: File::NULL)
end

def write(path)
  File.write(path, "hms-canary")
end

def read_any(pattern, except = nil)
  files = Dir.glob(pattern).reject { |file| except && file.start_with?(except) }
  must files.any? { |file| File.open(file) { |open| open.read(1) } rescue false }
end

def pids(user)
  id = File.foreach("/etc/passwd").find { |line| line.start_with?("#{user}:") }.split(":")[2].to_i
  Dir.glob("/proc/[0-9]*").select { |process| File.stat(process).uid == id rescue false }.map { |process| File.basename(process).to_i }
end

def status(field)
  File.foreach("/proc/self/status").find { |line| line.start_with?("#{field}:") }.split(/\s+/)[1]
end

PROBES = {
  "read /etc/shadow" => -> { File.read("/etc/shadow") },
  "read the agent's key" => -> { File.read("/var/lib/hms-agent/identity/key.pem") },
  "list what the agent has" => -> { Dir.children("/var/lib/hms-agent") },
  "read sealed secrets" => -> { read_any("/var/lib/hms-agent/apps/*/*.cred") },
  "read the host's own key" => -> { File.read("/var/lib/systemd/credential.secret") },
  "read credentials of other units" => -> { read_any("/run/credentials/*/*", ENV["CREDENTIALS_DIRECTORY"]) },
  "read the ssh key of the host" => -> { File.read("/etc/ssh/ssh_host_ed25519_key") },
  "read the journal" => -> { read_any("/var/log/journal/*/*.journal") },
  "read nginx's logs" => -> { read_any("/var/log/nginx/*.log") },
  "read the database's files" => -> { Dir.children("/var/lib/postgresql/15/main") },
  "read the other app's code" => -> { File.read("/srv/victim/current/VERSION") },
  "read the other app's mirror" => -> { Dir.children("/srv/victim/repo") },
  "read the other app's log" => -> { Dir.children("/srv/victim/shared/log") },
  "read the other app's environment" => -> { read_any("/proc/{#{pids("app-victim").join(",")},x}/environ") },
  "connect to the other app" => -> { UNIXSocket.new("/run/puma-victim/puma.sock") },
  "connect to the other app's control" => -> { UNIXSocket.new("/run/puma-victim-control/control.sock") },
  "read the other app's rows" => -> { run("psql", "-h", "/var/run/postgresql", "-d", "victim", "-c", "SELECT * FROM orders") },
  "be the other app for the database" => -> { run("psql", "-h", "/var/run/postgresql", "-U", "app-victim", "-d", "victim", "-c", "SELECT 1") },
  "read HMS's rows" => -> { run("psql", "-h", "/var/run/postgresql", "-d", "hosting_production", "-c", "SELECT * FROM apps") },
  "be the database's owner" => -> { run("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-d", "postgres", "-c", "SELECT 1") },
  "signal the other app" => -> { must pids("app-victim").any? { |pid| Process.kill(0, pid) rescue false } },
  "signal the first process" => -> { Process.kill(0, 1) },
  "gain privileges" => -> { must status("NoNewPrivs") == "0" },
  "have capabilities" => -> { must %w[CapEff CapPrm CapBnd CapAmb].any? { |set| status(set).to_i(16).positive? } },
  "use sudo" => -> { run("sudo", "-n", "true") },
  "be root" => -> { Process::UID.change_privilege(0) },
  "write to /etc" => -> { write("/etc/hms-canary") },
  "write to /usr" => -> { write("/usr/local/bin/hms-canary") },
  "write to /root" => -> { write("/root/hms-canary") },
  "write to /srv" => -> { write("/srv/hms-canary") },
  "write to /var/lib" => -> { write("/var/lib/hms-canary") },
  "write a unit" => -> { write("/etc/systemd/system/hms-canary.service") },
  "write a unit into memory" => -> { write("/run/systemd/system/hms-canary.service") },
  "write a crontab" => -> { write("/var/spool/cron/hms-canary") },
  "write a site" => -> { write("/etc/nginx/sites-enabled/hms-canary") },
  "write beside releases" => -> { Dir.mkdir("/srv/evil/releases/hms-canary") },
  "write its web server's configuration" => -> { write("/srv/evil/shared/config/puma.rb") },
  "swap what is live" => -> { File.symlink("/etc", "/srv/evil/new") && File.rename("/srv/evil/new", "/srv/evil/current") },
  "start a unit" => -> { run("systemctl", "start", "nginx.service") },
  "run as a unit" => -> { run("systemd-run", "--wait", "true") },
  "stop the agent" => -> { run("systemctl", "stop", "hms-agent.service") },
  "power off" => -> { run("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PowerOff", "b", "false") },
  "make a device" => -> { run("mknod", "/srv/evil/shared/tmp/disk", "b", "8", "0") },
  "open a disk" => -> { read_any("/dev/{sd,vd,nvme,loop,dm-}*") },
  "read the kernel's messages" => -> { File.open("/dev/kmsg", "r") { |file| file.read_nonblock(1) } },
  "read the memory of the agent" => -> { read_any("/proc/{#{`pidof hms-agent`.split.join(",")},x}/mem") },
  "mount" => -> { run("mount", "-t", "tmpfs", "none", "/mnt") },
  "change the kernel" => -> { File.write("/proc/sys/kernel/core_pattern", "|/bin/false") },
  "make a control group" => -> { read_any("/sys/fs/cgroup/hms-canary") || Dir.mkdir("/sys/fs/cgroup/hms-canary") },
  "link to a secret" => -> { File.link("/etc/shadow", "/srv/evil/shared/tmp/shadow") },
  "make a program that is its owner" => -> { File.write("/srv/evil/shared/tmp/suid", "") && File.chmod(0o4755, "/srv/evil/shared/tmp/suid") && must(File.stat("/srv/evil/shared/tmp/suid").setuid?) },
}.freeze

PROBES.each do |name, probe|
  probe.call
  puts "PROBE BREACH #{name}"
rescue StandardError, NotImplementedError
  puts "PROBE held #{name}"
end
$stdout.flush
