//! x
fn main() {
    let r = tokio::runtime::Runtime::new().expect("x");
    r.block_on(async {
        let t = std::time::Instant::now();
        let bed = hms_tests::testbed::Testbed::new().await.expect("bed");
        println!("bed {:?}", t.elapsed());
        let host = bed.boot("asterra").await.expect("boot");
        println!("up {:?}", t.elapsed());
        println!("{}", host.run(&["systemctl", "is-system-running"]).await.unwrap_or_else(|e| e.to_string()));
        println!("{}", host.run(&["systemctl", "--failed"]).await.unwrap_or_else(|e| e.to_string()));
        println!("{}", host.run(&["systemd-analyze", "blame"]).await.unwrap_or_else(|e| e.to_string()));
        println!("{}", host.run(&["ip", "a"]).await.unwrap_or_else(|e| e.to_string()));
    });
}
