//! Ways out of a jail that were tried, one file each, named for what must not happen.
//!
//! Each is tried against the whole jail; against each wall that holds it, alone; and without them,
//! where it must succeed: what cannot succeed shows nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod attempt;
#[path = "../../sandbox/tests/jail/kit.rs"]
#[expect(dead_code, reason = "the crate's own tests use all of it")]
mod kit;

mod asks_a_name_server;
mod asks_the_kernel_for_mounts;
mod changes_the_mode_of_a_host_device;
mod changes_the_mode_of_a_host_file;
mod changes_the_mode_of_the_image;
mod changes_the_owner_of_the_image;
mod changes_the_times_of_a_host_device;
mod changes_the_times_of_the_image;
mod climbs_out_of_the_root;
mod copies_the_memory_of_another_process;
mod copies_the_memory_of_the_daemon;
mod cuts_the_log;
mod echo;
mod host_entry;
mod inherits_a_descriptor;
mod learns_host_paths_from_mounts;
mod links_a_host_file_into_its_scratch;
mod links_an_unnamed_file_into_an_input;
mod links_within_an_input;
mod looks_into_the_first_process;
mod makes_a_packet_socket;
mod makes_a_raw_socket;
mod makes_a_socket_of_another_family;
mod makes_a_whiteout;
mod makes_an_internet_socket_of_another_protocol;
mod neighbour;
mod opens_a_file_by_its_handle;
mod passes_a_descriptor_to_the_host;
mod reaches_a_socket_by_the_old_root;
mod reaches_a_socket_in_an_input;
mod reaches_a_socket_in_the_image;
mod reaches_a_socket_in_the_source;
mod reaches_a_tcp_service_by_another_protocol;
mod reaches_a_tcp_service_of_the_host;
mod reaches_a_udp_service_of_the_host;
mod reaches_an_abstract_socket_of_the_host;
mod reads_another_jails_files;
mod reads_kernel_keys;
mod reads_kernel_memory;
mod reads_kernel_settings;
mod reads_kernel_symbols;
mod reads_sys;
mod reads_the_environment_of_the_daemon;
mod reads_the_home_of_its_user;
mod reads_the_hosts_passwords;
mod reads_the_kernels_log;
mod reads_the_kernels_log_device;
mod reads_the_memory_of_the_daemon;
mod reads_the_state_directory;
mod redirects_an_overlay;
mod replaces_a_file_of_an_input;
mod secret;
mod sees_another_jails_processes;
mod sees_the_first_process;
mod serves_the_host;
mod service;
mod sets_an_attribute_of_the_image;
mod steals_from_the_log;
mod talks_to_the_hypervisor;
mod talks_to_the_kernel_by_netlink;
mod traces_its_own_child;
mod traces_the_daemon;
mod traces_the_first_process;
mod uses_the_kernels_ciphers;
mod victim;
mod writes_to_an_input;
mod writes_to_the_image;
mod writes_to_the_old_root;
