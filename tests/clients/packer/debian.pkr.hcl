# Builds on a Debian disk with Packer's qemu builder and hands the outcome to Tintype.
#
#   packer build -var disk=... -var kernel=... -var initrd=... -var box=DIR debian.pkr.hcl
#
# Here the guest only starts and switches itself off; a real template sets `communicator = "ssh"` and has provisioners.

variable "disk" {
  type        = string
  description = "Disk to begin with; it is not changed."
}

variable "kernel" {
  type = string
}

variable "initrd" {
  type = string
}

variable "box" {
  type        = string
  description = "Tintype's data directory, for its clouds.yaml."
}

variable "tintype" {
  type        = string
  default     = "tintype"
  description = "Tintype's program, for its command line."
}

variable "accelerator" {
  type    = string
  default = "kvm"
}

variable "output" {
  type    = string
  default = "packed"
}

source "qemu" "debian" {
  iso_url          = var.disk
  iso_checksum     = "none"
  disk_image       = true
  format           = "qcow2"
  accelerator      = var.accelerator
  memory           = 1024
  headless         = true
  communicator     = "none"
  shutdown_timeout = "15m"
  output_directory = var.output
  vm_name          = "packed.qcow2"
  qemuargs = [
    ["-kernel", var.kernel],
    ["-initrd", var.initrd],
    ["-append", "root=/dev/vda2 rw console=ttyS0 systemd.unit=poweroff.target"],
    ["-serial", "file:${var.output}.console"],
  ]
}

build {
  sources = ["source.qemu.debian"]

  post-processor "shell-local" {
    environment_vars = ["OS_CLIENT_CONFIG_FILE=${var.box}/clouds.yaml", "OS_CLOUD=tintype"]
    inline = [
      "'${var.tintype}' image import '${var.output}/packed.qcow2' --name debian-packed --property tintype_family=debian",
    ]
  }
}
