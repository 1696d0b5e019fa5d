//! x
#![allow(warnings)]
fn main(){
  let images = kbs_image::Images::new("/tmp/t/imgs/images".into(), "/tmp/t/imgs/scratch".into());
  let mut a: Vec<String> = std::env::args().skip(1).collect();
  let mut skipped=0;
  let mut p = |x: kbs_image::Progress| if let kbs_image::Progress::Skipped{..}=x {skipped+=1};
  let t=std::time::Instant::now();
  let info = if a[0]=="host" { a.remove(0);
    let r = kbs_image::HostRequest{programs:a, ..Default::default()};
    images.import(kbs_image::Import::Host(&r), None, 1, &mut p)
  } else { let mut f: Box<dyn std::io::Read> = if a[0]=="-" {Box::new(std::io::stdin())} else {Box::new(std::fs::File::open(&a[0]).unwrap())};
    images.import(kbs_image::Import::Archive{name:&a[0], stream:&mut *f, reference:None}, None, 1, &mut p) };
  match info { Ok(i)=>println!("{} {} files {} MB arch {} pk {} {:?}", i.digest, i.files, i.size_b>>20, i.architecture, i.packages.len(), i.programs),
   Err(e)=>{ println!("{e}"); let mut s: &dyn std::error::Error=&e; while let Some(n)=s.source(){println!("  {n}"); s=n;} } }
  println!("{:?} skipped {skipped}", t.elapsed());
}
